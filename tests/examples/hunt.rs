//! hunt
use ropewalk_tests::props;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let check: fn(&[u8]) = match a[1].as_str() {
        "pair" => props::pair::check,
        "datagram" => props::datagram::check,
        "handshake" => props::handshake::check,
        _ => props::reassembly::check,
    };
    let from: u64 = a[2].parse().unwrap();
    let to: u64 = a[3].parse().unwrap();
    let max: usize = a[4].parse().unwrap();
    let mut fails = 0;
    for s in from..to {
        let mut rng = fastrand::Rng::with_seed(s);
        let n = rng.usize(0..max);
        let data: Vec<u8> = (0..n).map(|_| rng.u8(..)).collect();
        if let Some(f) = a.get(5) { std::fs::write(f, &data).unwrap(); }
        if std::panic::catch_unwind(|| check(&data)).is_err() {
            println!("FAIL {s}");
            fails += 1;
            if fails > 5 {
                break;
            }
        }
    }
    println!("{fails} failures in {}", to - from);
}
