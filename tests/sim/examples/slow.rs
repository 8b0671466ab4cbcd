use shuntyard_sim::generate::generate;
use shuntyard_sim::run::run;
fn main() {
    let arg = |n: usize| std::env::args().nth(n).unwrap().parse::<u64>().unwrap();
    for seed in arg(1)..arg(2) {
        let began = std::time::Instant::now();
        let result = run(&generate(seed));
        let t = began.elapsed().as_millis();
        match result {
            Ok(r) => println!("{seed} ok {t} ms {} steps {} requests", r.steps, r.answers.len()),
            Err(f) => println!("{seed} FAIL {t} ms {f}"),
        }
    }
}
