use super::*;
#[test]
fn dbg() {
    let a = Axis::new(33, 3, 0, 3, Filter::Hamming);
    println!("{:?} {:?}", a.spans, a.weights);
    println!("{:?}", (0..17).map(|x| Filter::Hamming.weight((x as f64 - 5.5 + 0.5) * (1.0 / 11.0))).collect::<Vec<_>>());
}
