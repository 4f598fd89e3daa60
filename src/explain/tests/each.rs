//! Maps of single words and tokens.

use super::*;
use crate::explain::each::maps;

const TEXTS: [&str; 9] = [
    "There", " are", " fi", "ve", " blue", "-", "green", " rings", ".",
];

#[test]
fn words_are_what_stands_between_white_space() {
    let keys = [2, 3, 4, 6, 7];
    let words = Each::Word.units(&keys, &TEXTS);
    assert_eq!(words, [vec![2, 3], vec![4, 6], vec![7]]);
    let tokens = Each::Token.units(&keys, &TEXTS);
    assert_eq!(tokens, [[2], [3], [4], [6], [7]]);
    // A token may be white space, end with it, or be empty, as part of a character is.
    let texts = ["a ", "b", "\n", "", "c", "", " d"];
    let words = Each::Word.units(&[0, 1, 2, 3, 4, 5, 6], &texts);
    assert_eq!(words, [vec![0], vec![1], vec![2], vec![3, 4, 5], vec![6]]);
    assert!(Each::Word.units(&[], &TEXTS).is_empty());
}

#[test]
fn units_are_a_partition_of_the_key_tokens() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let pieces = ["a", " b", "c ", " ", "", "d\n", "\u{3000}e", "-"];
    for _ in 0..200 {
        let count = rng.random_range(1..12);
        let texts: Vec<&str> = (0..count).map(|_| pieces[rng.random_range(0..8)]).collect();
        let keys: Vec<usize> = (0..count).filter(|_| rng.random_bool(0.5)).collect();
        for each in [Each::Token, Each::Word] {
            let units = each.units(&keys, &texts);
            assert!(units.iter().all(|unit| !unit.is_empty()), "{texts:?}");
            assert_eq!(units.concat(), keys, "{texts:?}");
        }
    }
}

/// Each unit's mask is that of its tokens alone, as if no other token were key, for a method that
/// runs once per unit and for one whose units share the scorer's calls.
#[test]
fn a_unit_has_the_map_of_its_tokens() {
    for method in [Method::IgosPlus, Method::Fovea] {
        has_the_maps_of_tokens(method);
    }
}

fn has_the_maps_of_tokens(method: Method) {
    let model = Quadratic::new();
    let texts = ["red", " ri", "ng"];
    let settings = Settings {
        noise: 0.2,
        ..settings(method)
    };
    let method = settings.method.with(&settings);
    let units = Each::Word.units(&[0, 1, 2], &texts);
    let mut all = 0;
    let found = maps(units, &texts, &*method, &model, &mut |count| {
        all += count;
        std::ops::ControlFlow::Continue(())
    });
    let found = found.unwrap();
    let texts: Vec<&str> = found.iter().map(|map| map.unit.text.as_str()).collect();
    assert_eq!(texts, ["red", "ring"]);
    let evaluations = method.schedule(1).evaluations().unwrap();
    assert_eq!(all, 2 * evaluations);
    for map in &found {
        let mut iterations = Vec::new();
        let each = &mut |_, parts, _: &Mask| iterations.push(parts);
        let alone = method.run(&model, &map.unit.tokens, &mut go_on, each);
        assert_eq!(alone.unwrap(), map.mask);
        assert_eq!(iterations, map.unit.iterations);
        assert_eq!(map.unit.evaluations, evaluations);
    }
    assert_ne!(found[0].mask, found[1].mask);
}

#[test]
fn one_unit_is_cancelled_as_any_work() {
    let (model, settings) = (Quadratic::new(), settings(Method::IgosPlus));
    let method = settings.method.with(&settings);
    let mut stop = |_| std::ops::ControlFlow::Break(());
    let found = maps(vec![vec![0], vec![1]], &TEXTS, &*method, &model, &mut stop);
    assert!(matches!(found, Err(ExplainError::Cancelled)));
}
