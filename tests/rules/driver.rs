//! Random steps from a seed; on failure, the same steps fewer at a time.

use std::fmt::Debug;

/// A real thing and its model, driven together.
pub trait World: Sized {
    type Step: Clone + Debug;

    fn new() -> Self;

    /// A step that makes sense at any time, also when steps before it are left out.
    fn random(rng: &mut Rng) -> Self::Step;

    /// Takes the step on both sides. Err: they differ.
    fn step(&mut self, step: &Self::Step) -> Result<(), String>;
}

/// SplitMix64.
pub struct Rng(u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// True once in `n`.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

/// Steps of one sequence.
const LENGTH: usize = 500;

pub fn run<W: World>(steps: usize) {
    let env = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
    if let Some(seed) = env("RULES_SEED") {
        return check::<W>(seed);
    }
    let steps = env("RULES_STEPS").map_or(steps, |n| n as usize);
    for seed in 0..(steps / LENGTH) as u64 {
        check::<W>(seed);
    }
}

fn check<W: World>(seed: u64) {
    let mut rng = Rng(seed);
    let steps: Vec<W::Step> = (0..LENGTH).map(|_| W::random(&mut rng)).collect();
    let Some((count, _)) = failure::<W>(&steps) else { return };
    let least = shrink::<W>(steps[..count].to_vec());
    let (_, why) = failure::<W>(&least).expect("still fails");
    let list: String = least.iter().map(|s| format!("\n    {s:?}")).collect();
    panic!("RULES_SEED={seed}: after {} steps{list}\n{why}", least.len());
}

/// The number of steps up to the first that fails, and why.
fn failure<W: World>(steps: &[W::Step]) -> Option<(usize, String)> {
    let run = || {
        let mut world = W::new();
        for (n, step) in steps.iter().enumerate() {
            if let Err(why) = world.step(step) {
                return Some((n + 1, why));
            }
        }
        None
    };
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
        Some((steps.len(), format!("panic: {}", text.unwrap_or_default())))
    })
}

/// Leaves out ever smaller runs of steps as long as it still fails.
fn shrink<W: World>(mut steps: Vec<W::Step>) -> Vec<W::Step> {
    let mut size = steps.len() / 2;
    while size > 0 {
        let mut at = 0;
        while at < steps.len() {
            let mut fewer = steps.clone();
            fewer.drain(at..(at + size).min(steps.len()));
            if failure::<W>(&fewer).is_some() {
                steps = fewer;
            } else {
                at += size;
            }
        }
        size /= 2;
    }
    steps
}

/// Err with both sides if they differ.
pub fn same<T: PartialEq + Debug>(what: &str, real: T, model: T) -> Result<(), String> {
    if real == model { Ok(()) } else { Err(format!("{what}: is {real:?}, should be {model:?}")) }
}
