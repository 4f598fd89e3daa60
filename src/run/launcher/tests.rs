use super::ranks::RANKS;
use super::*;

type Variables<'a> = &'a [(&'a str, &'a str)];

fn of(variables: Variables, shards: Option<usize>) -> Result<Assignment> {
    let find = |name: &str| {
        let found = variables.iter().find(|(n, _)| *n == name);
        found.map(|(_, value)| value.to_string())
    };
    Assignment::of(&find, shards)
}

fn is(variables: Variables, shards: Option<usize>, index: usize, count: usize) -> Assignment {
    let found = of(variables, shards).unwrap();
    let expected = Shard::new(index, count).unwrap();
    assert_eq!(found.shard, expected, "{variables:?} {shards:?}");
    found
}

const TASKS: [(&str, &str); 3] = [
    ("SLURM_PROCID", "1"),
    ("SLURM_NTASKS", "2"),
    ("SLURM_STEP_NUM_TASKS", "2"),
];

#[test]
fn every_launcher_says_which_shard() {
    assert_eq!(is(&[], None, 0, 1).reason, None);
    let array = [
        ("SLURM_ARRAY_TASK_ID", "7"),
        ("SLURM_ARRAY_TASK_COUNT", "4"),
        ("SLURM_ARRAY_TASK_MIN", "5"),
        ("SLURM_ARRAY_TASK_MAX", "8"),
    ];
    let reason = is(&array, None, 2, 4).reason.unwrap();
    assert!(reason.contains("SLURM_ARRAY_TASK_ID=7"), "{reason}");
    let stepped = [
        ("SLURM_ARRAY_TASK_ID", "9"),
        ("SLURM_ARRAY_TASK_COUNT", "4"),
        ("SLURM_ARRAY_TASK_MIN", "1"),
        ("SLURM_ARRAY_TASK_MAX", "13"),
        ("SLURM_ARRAY_TASK_STEP", "4"),
    ];
    is(&stepped, None, 2, 4);
    let reason = is(&TASKS, None, 1, 2).reason.unwrap();
    assert_eq!(reason, "SLURM_PROCID=1 of SLURM_STEP_NUM_TASKS=2");
    is(&[array.as_slice(), &TASKS].concat(), None, 5, 8);
    // A launcher's ranks are finer than the tasks that started it.
    let ranks = [("RANK", "6"), ("WORLD_SIZE", "8")];
    is(&[ranks.as_slice(), &TASKS].concat(), None, 6, 8);
    // Ranks within an element of an array divide that element.
    is(&[ranks.as_slice(), &array].concat(), None, 22, 32);
    is(&[("JOB_COMPLETION_INDEX", "3")], Some(10), 3, 10);
    is(
        &[&ranks[..], &[("JOB_COMPLETION_INDEX", "1")]].concat(),
        Some(8),
        6,
        8,
    );
    // Elements 3 and 5 of eight, submitted again.
    let again = [
        ("SLURM_ARRAY_TASK_ID", "5"),
        ("SLURM_ARRAY_TASK_COUNT", "2"),
        ("SLURM_ARRAY_TASK_MIN", "3"),
        ("SLURM_ARRAY_TASK_MAX", "5"),
    ];
    is(&again, Some(8), 5, 8);
    is(&[again.as_slice(), &TASKS].concat(), Some(16), 11, 16);
}

#[test]
fn ranks_of_mpi_are_ranks() {
    for (index, count) in &RANKS[1..4] {
        let found = is(&[(index, "2"), (count, "3")], None, 2, 3);
        assert_eq!(found.reason, Some(format!("{index}=2 of {count}=3")));
        // mpirun starts one daemon on each of two nodes by srun, and three ranks below them.
        is(
            &[&[(*index, "2"), (*count, "3")], &TASKS[..]].concat(),
            None,
            2,
            3,
        );
        // A single process started by mpirun takes no part.
        assert_eq!(is(&[(index, "0"), (count, "1")], None, 0, 1).reason, None);
        let alone = of(&[(index, "1")], None).unwrap_err().to_string();
        assert!(
            alone.contains(count) && alone.contains("--shard 0/1"),
            "{alone}"
        );
    }
    // srun --mpi=pmi2 sets both kinds of variables.
    is(
        &[&[("PMI_RANK", "1"), ("PMI_SIZE", "2")], &TASKS[..]].concat(),
        None,
        1,
        2,
    );
}

/// `sbatch -n 4` runs the body of its script once; only `srun` starts four.
#[test]
fn the_body_of_a_batch_script_is_no_task() {
    let body = [
        ("SLURM_JOB_ID", "9"),
        ("SLURM_NTASKS", "5"),
        ("SLURM_NPROCS", "5"),
        ("SLURM_PROCID", "0"),
        ("SLURM_LOCALID", "0"),
    ];
    let found = is(&body, None, 0, 1);
    assert_eq!(found.reason, None);
    assert!(found.note.unwrap().contains("SLURM_NTASKS=5"));
    // As an element of an array, it takes the element's whole part.
    let array = [
        ("SLURM_ARRAY_TASK_ID", "1"),
        ("SLURM_ARRAY_TASK_COUNT", "3"),
        ("SLURM_ARRAY_TASK_MIN", "0"),
        ("SLURM_ARRAY_TASK_MAX", "2"),
    ];
    assert!(is(&[&body[..], &array].concat(), None, 1, 3).note.is_some());
    let mpi = [("OMPI_COMM_WORLD_RANK", "4"), ("OMPI_COMM_WORLD_SIZE", "5")];
    assert_eq!(is(&[&body[..], &mpi].concat(), None, 4, 5).note, None);
    assert_eq!(
        is(&[("SLURM_NTASKS", "1"), ("SLURM_PROCID", "0")], None, 0, 1).note,
        None
    );
    let started = of(&[("SLURM_NTASKS", "5"), ("SLURM_PROCID", "2")], None).unwrap_err();
    assert!(
        started.to_string().contains("SLURM_STEP_NUM_TASKS"),
        "{started}"
    );
}

/// Slurm gives the least and the greatest index and the count of an array, which do not
/// determine 1,3,7.
#[test]
fn arrays_with_gaps_are_refused_in_every_element() {
    for (ids, step) in [
        (&["1", "3", "7"][..], "1"),
        (&["0", "1", "3"], "1"),
        (&["0", "2", "3"], "2"),
        (&["5", "6", "17"], "0"),
    ] {
        for id in ids {
            let variables = [
                ("SLURM_ARRAY_TASK_ID", *id),
                ("SLURM_ARRAY_TASK_COUNT", "3"),
                ("SLURM_ARRAY_TASK_MIN", ids[0]),
                ("SLURM_ARRAY_TASK_MAX", ids[2]),
                ("SLURM_ARRAY_TASK_STEP", step),
            ];
            let error = of(&variables, None).unwrap_err().to_string();
            assert!(
                error.contains("without gaps") && error.contains("--shard I/N"),
                "{error}"
            );
            is(&variables, Some(20), id.parse().unwrap(), 20);
        }
    }
}

#[test]
fn what_the_environment_cannot_mean_is_refused() {
    let max = usize::MAX.to_string();
    for (variables, shards, word) in [
        (&[("JOB_COMPLETION_INDEX", "3")][..], None, "--shards"),
        (&[("JOB_COMPLETION_INDEX", "3")], Some(3), "below"),
        (&[("JOB_COMPLETION_INDEX", "0")], Some(0), "below"),
        (
            &[
                ("JOB_COMPLETION_INDEX", "0"),
                ("RANK", "0"),
                ("WORLD_SIZE", "2"),
            ],
            Some(4),
            "no ranks beside it",
        ),
        (&[("RANK", "x"), ("WORLD_SIZE", "2")], None, "a number"),
        (&[("RANK", "2"), ("WORLD_SIZE", "2")], None, "WORLD_SIZE"),
        (&[("RANK", "0"), ("WORLD_SIZE", "0")], None, "WORLD_SIZE"),
        (&[("RANK", "0"), ("WORLD_SIZE", "2")], Some(3), "RANK"),
        (&[("RANK", "0")], None, "WORLD_SIZE beside it"),
        // Two tasks that each started their own ranks, from 0.
        (
            &[
                ("RANK", "0"),
                ("WORLD_SIZE", "4"),
                ("LOCAL_WORLD_SIZE", "4"),
                TASKS[0],
                TASKS[2],
            ],
            None,
            "SLURM_PROCID",
        ),
        (
            &[("RANK", "0"), ("WORLD_SIZE", "2"), TASKS[0], TASKS[2]],
            None,
            "SLURM_PROCID",
        ),
        (&[], Some(3), "--shard I/N"),
        (&[], Some(0), "--shard I/N"),
        (&[("SLURM_ARRAY_TASK_ID", "3")], None, "COUNT"),
        (
            &[
                ("SLURM_ARRAY_TASK_ID", "0"),
                ("SLURM_ARRAY_TASK_COUNT", "0"),
            ],
            None,
            "without gaps",
        ),
        (&[("SLURM_ARRAY_TASK_ID", "3")], Some(3), "below"),
        (
            &[("SLURM_ARRAY_TASK_ID", "0"), TASKS[0], TASKS[2]],
            Some(3),
            "a multiple of 2",
        ),
        (
            &[
                ("SLURM_ARRAY_TASK_ID", "1"),
                ("SLURM_ARRAY_TASK_COUNT", &max),
                TASKS[0],
                TASKS[2],
            ],
            None,
            "fewer parts",
        ),
    ] {
        let error = of(variables, shards).unwrap_err().to_string();
        assert!(error.contains(word), "{word}: {error}");
    }
}
