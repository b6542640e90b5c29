//! Ten million mutated tokens and MACs: none is accepted. `mutated_tokens [COUNT]`
//!
//! Each mutation is made of a whole small file, in its value's token, its MAC, its names or its key, and judged by what the library
//! says of the file. Every one is determined by its number alone, whatever the number of threads. What counts as accepted: a file that
//! opens although its text, key path or key is another. One thing opens by the design of the format, and is counted apart: another name
//! of the type where the value is the same byte for byte.

mod coverage;
mod file;
mod mutation;
mod random;

use std::process::ExitCode;
use std::thread;

use file::{Layer, files};
use mutation::Class;
use random::Random;

/// Where every mutation comes from.
const SEED: u64 = 0x646f_7473_6f70_7331;

const CLASSES: usize = Class::ALL.len();
const LAYERS: usize = Layer::ALL.len();

/// How many mutations of each class ended in each layer.
type Counts = [[u64; LAYERS]; CLASSES];

fn main() -> ExitCode {
    let count: u64 = std::env::args().nth(1).map_or(10_000_000, |count| count.parse().expect("a number of mutations"));
    let threads = thread::available_parallelism().map_or(1, |threads| threads.get() as u64);
    let counts = thread::scope(|scope| {
        let parts = (0..threads).map(|first| scope.spawn(move || judge_every(first, threads, count)));
        let parts: Vec<_> = parts.collect();
        parts
            .into_iter()
            .fold([[0; LAYERS]; CLASSES], |sum, part| add(sum, part.join().expect("no mutation makes the library panic")))
    });
    print(&counts, count);
    let accepted = counts.iter().map(|layers| layers[Layer::Accepted as usize]).sum::<u64>();
    let unused = counts.iter().any(|layers| layers.iter().sum::<u64>() == 0);
    if accepted > 0 || unused { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn judge_every(first: u64, step: u64, count: u64) -> Counts {
    let mut counts = [[0; LAYERS]; CLASSES];
    let mut files = files();
    let mut number = first;
    while number < count {
        let mut random = Random::new(SEED.wrapping_add(number));
        let (at, class, mutation) = loop {
            let (at, other) = (random.below(files.len()), random.below(files.len()));
            let class = random.pick(&Class::ALL);
            let mutation = class.of(&files[at], &files[other], &mut random);
            if mutation != files[at].whole {
                break (at, class, mutation);
            }
        };
        let layer = files[at].judge(&mutation);
        if layer == Layer::Accepted {
            println!("ACCEPTED: mutation {number}, {}: {mutation}", class.name());
        }
        counts[class as usize][layer as usize] += 1;
        number += step;
    }
    counts
}

fn add(mut sum: Counts, part: Counts) -> Counts {
    for (sum, part) in sum.as_flattened_mut().iter_mut().zip(part.as_flattened()) {
        *sum += part;
    }
    sum
}

fn print(counts: &Counts, count: u64) {
    println!("{count} mutations, seed {SEED:#x}");
    print!("{:32}", "");
    Layer::ALL.iter().for_each(|layer| print!("{:>11}", layer.name()));
    println!();
    let line = |name: &str, layers: [u64; LAYERS]| {
        print!("{name:32}");
        layers.iter().for_each(|count| print!("{count:>11}"));
        println!();
    };
    for class in Class::ALL {
        line(class.name(), counts[class as usize]);
    }
    line("all", std::array::from_fn(|layer| counts.iter().map(|layers| layers[layer]).sum()));
}
