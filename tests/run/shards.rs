//! Tests of several processes, one per shard, and of merging their records.

use crate::support::{Folder, ended, quick, succeeded};

const OPTIONS: [&str; 3] = ["--data", "data.jsonl", "--no-curves"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&OPTIONS[..], more].concat()
}

#[test]
fn three_shards_merged_are_the_whole_run() {
    let folder = Folder::new();
    folder.table("data.jsonl", 7);
    folder.append(
        "data.jsonl",
        r#"{"id":"gone","image":"none.png","question":"What?"}"#,
    );
    ended(&folder.run(&with(&["--out", "whole"])), 3, &["picture 1"]);
    succeeded(&folder.run(&with(&["--out", "out", "--shard", "0/3"])));
    let merge = ["merge", "out", "--out", "merged"];
    ended(&folder.foveate(&merge, &[]), 2, &["missing", "1/3, 2/3"]);
    let array = [
        ("SLURM_ARRAY_TASK_ID", "5"),
        ("SLURM_ARRAY_TASK_COUNT", "3"),
        ("SLURM_ARRAY_TASK_MIN", "3"),
        ("SLURM_ARRAY_TASK_MAX", "5"),
    ];
    let element = folder.run_as(&with(&["--out", "out"]), &array);
    ended(
        &element,
        0,
        &["shard 2/3 of the data, by SLURM_ARRAY_TASK_ID=5"],
    );
    assert!(succeeded(&element).contains("2 of 2 samples of shard 2/3 done"));
    let index = [("JOB_COMPLETION_INDEX", "1")];
    ended(
        &folder.run_as(&with(&["--out", "out"]), &index),
        2,
        &["--shards"],
    );
    let second = folder.run_as(&with(&["--out", "out", "--shards", "3"]), &index);
    ended(&second, 3, &["1 of 3 samples failed"]);
    let text = succeeded(&folder.foveate(&merge, &[]));
    assert!(text.contains("8 samples"), "{text}");
    folder.same("whole", "merged");
    // A non-empty folder is not written to.
    ended(&folder.foveate(&merge, &[]), 2, &["not empty"]);
    // `run` also finds the merged run finished.
    ended(
        &folder.run(&with(&["--out", "merged"])),
        3,
        &["1 of 8 samples failed"],
    );
    folder.same("whole", "merged");
}

#[test]
fn shards_that_make_no_whole_are_refused() {
    let folder = Folder::new();
    folder.table("data.jsonl", 3);
    for shard in ["0/2", "1/2"] {
        succeeded(&folder.run(&with(&["--out", "out", "--shard", shard])));
    }
    let other = folder.run(&with(&["--out", "out", "--shard", "0/3"]));
    ended(&other, 2, &["expected one of 2 shards"]);
    let (a, b) = ("out/shard-0-of-2", "out/shard-1-of-2");
    let merge =
        |shards: &[&str]| folder.foveate(&[&["merge", "--out", "merged"], shards].concat(), &[]);
    ended(&merge(&[a, b, a]), 2, &["shard 0/2 is there twice"]);
    ended(&merge(&[b]), 2, &["missing", "0/2"]);
    ended(&merge(&["nowhere"]), 2, &["nowhere"]);
    succeeded(&folder.run(&with(&[
        "--out", "changed", "--shard", "1/2", "--seed", "1",
    ])));
    ended(
        &merge(&[a, "changed/shard-1-of-2"]),
        2,
        &["another run", "settings.seed"],
    );
    // The second of shard 0's two records is removed.
    let records = folder.bytes(&format!("{a}/records.jsonl"));
    let first = records.iter().position(|&b| b == b'\n').unwrap() + 1;
    std::fs::write(folder.path(a).join("records.jsonl"), &records[..first]).unwrap();
    ended(
        &merge(&[a, b]),
        2,
        &["no record of sample 2", "not finished"],
    );
    std::fs::write(folder.path(a).join("records.jsonl"), &records).unwrap();
    let masks = folder.path(a).join("masks-00000.f32");
    let mut bytes = std::fs::read(&masks).unwrap();
    bytes[0] ^= 1;
    std::fs::write(&masks, bytes).unwrap();
    ended(&merge(&[a, b]), 2, &["CRC-32"]);
    assert!(!folder.path("merged").exists());
}

/// A process takes a part of the data only if its launcher clearly assigns it.
#[test]
fn a_part_is_taken_only_where_it_is_said() {
    let folder = Folder::new();
    folder.table("data.jsonl", 3);
    // The body of `sbatch -n 4`, which runs once.
    let body = [
        ("SLURM_JOB_ID", "1"),
        ("SLURM_NTASKS", "4"),
        ("SLURM_NPROCS", "4"),
        ("SLURM_PROCID", "0"),
        ("SLURM_LOCALID", "0"),
        ("SLURM_NODEID", "0"),
    ];
    let whole = folder.run_as(&with(&["--out", "whole"]), &body);
    ended(
        &whole,
        0,
        &["SLURM_NTASKS=4, but srun did not start this process"],
    );
    assert!(succeeded(&whole).contains("3 of 3 samples done"));
    let task = [
        &body[..],
        &[("SLURM_STEP_ID", "0"), ("SLURM_STEP_NUM_TASKS", "4")],
    ]
    .concat();
    let task = folder.run_as(&with(&["--out", "tasks"]), &task);
    ended(
        &task,
        0,
        &["shard 0/4 of the data, by SLURM_PROCID=0 of SLURM_STEP_NUM_TASKS=4"],
    );
    let mpi = [("OMPI_COMM_WORLD_RANK", "2"), ("OMPI_COMM_WORLD_SIZE", "3")];
    let rank = folder.run_as(&with(&["--out", "ranks"]), &mpi);
    ended(&rank, 0, &["shard 2/3", "OMPI_COMM_WORLD_RANK=2"]);
    let gaps = [
        ("SLURM_ARRAY_TASK_ID", "1"),
        ("SLURM_ARRAY_TASK_COUNT", "3"),
        ("SLURM_ARRAY_TASK_MIN", "1"),
        ("SLURM_ARRAY_TASK_MAX", "7"),
        ("SLURM_ARRAY_TASK_STEP", "1"),
    ];
    ended(
        &folder.run_as(&with(&["--out", "gaps"]), &gaps),
        2,
        &["--shard 0/1"],
    );
    let alone = [("RANK", "0")];
    ended(
        &folder.run_as(&with(&["--out", "gaps"]), &alone),
        2,
        &["WORLD_SIZE", "--shard I/N"],
    );
    assert!(!folder.path("gaps").exists());
    // The option resolves every ambiguity.
    succeeded(&folder.run_as(
        &with(&["--out", "settled", "--shard", "0/1"]),
        &[&gaps[..], &alone].concat(),
    ));
    folder.same("whole", "settled");
}

#[test]
fn shards_of_the_largest_numbers_are_no_trouble() {
    let folder = Folder::new();
    folder.table("data.jsonl", 2);
    let first = folder.run(&with(&[
        "--out",
        "out",
        "--shard",
        "0/18446744073709551615",
    ]));
    assert!(succeeded(&first).contains("1 of 1 samples of shard 0/18446744073709551615"));
    let last = "18446744073709551614/18446744073709551615";
    let last = folder.run(&with(&["--out", "out", "--shard", last]));
    assert!(succeeded(&last).contains("0 of 0 samples"));
    let merge = folder.foveate(&["merge", "out", "--out", "merged"], &[]);
    ended(&merge, 2, &["missing", "18446744073709551593 more"]);
    let more = folder.run(&with(&[
        "--out",
        "out",
        "--shard",
        "0/18446744073709551616",
    ]));
    ended(&more, 2, &["expected I/N"]);
}

/// The provided Slurm script, in the environment of the elements of an array.
#[cfg(unix)]
#[test]
fn the_script_for_slurm_runs_a_shard() {
    let folder = Folder::new();
    folder.table("data.jsonl", 3);
    folder.append(
        "data.jsonl",
        r#"{"id":"gone","image":"none.png","question":"What?"}"#,
    );
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/slurm-array.sh");
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_foveate"))
        .parent()
        .unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let run = |id: &str, expected: i32| {
        let mut arguments = quick(&with(&["--out", "out"]));
        arguments[0] = script.to_string();
        let mut command = std::process::Command::new("sh");
        command.args(&arguments).current_dir(folder.path("."));
        command.env("PATH", format!("{}:{path}", program.display()));
        let variables = [
            ("SLURM_ARRAY_TASK_ID", id),
            ("SLURM_ARRAY_TASK_COUNT", "2"),
            ("SLURM_ARRAY_TASK_MIN", "1"),
            ("SLURM_ARRAY_TASK_MAX", "2"),
            ("SLURM_PROCID", "0"),
            ("SLURM_NTASKS", "1"),
        ];
        ended(&command.envs(variables).output().unwrap(), expected, &[]);
    };
    run("1", 0);
    // The second element has the failing sample, which is not a failure of the element.
    run("2", 0);
    run("3", 2);
    let merged = folder.foveate(&["merge", "out", "--out", "merged"], &[]);
    assert!(succeeded(&merged).contains("4 samples"));
}
