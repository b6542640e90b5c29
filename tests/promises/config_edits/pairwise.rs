//! Few cases in which every choice of one axis meets every choice of every other.

use std::collections::BTreeSet;

use crate::support::random::Random;

/// A choice: which axis, and which of its choices.
type Choice = (usize, usize);

/// How many candidates are looked at for each case.
const CANDIDATES: usize = 12;

/// Axes by the number of their choices, and the pairs of choices that exclude each other.
pub struct Space<'a> {
    pub sizes: Vec<usize>,
    pub may_meet: &'a dyn Fn(Choice, Choice) -> bool,
}

impl Space<'_> {
    /// Cases that cover every pair that may meet. The same `random` means the same cases.
    pub fn cases(&self, random: &mut Random) -> Vec<Vec<usize>> {
        let mut open = self.pairs();
        let mut cases = Vec::new();
        while let Some(pair) = open.first().copied() {
            let candidates = (0..CANDIDATES).filter_map(|_| self.completed(pair, random, &open));
            let best = candidates.max_by_key(|case| pairs_of(case).filter(|pair| open.contains(pair)).count());
            let case = best.unwrap_or_else(|| panic!("no case has {pair:?}"));
            pairs_of(&case).for_each(|pair| {
                open.remove(&pair);
            });
            cases.push(case);
        }
        cases
    }

    /// Every pair of choices that may meet and for which there is a case.
    pub fn pairs(&self) -> BTreeSet<(Choice, Choice)> {
        let choices = |axis: usize| (0..self.sizes[axis]).map(move |choice| (axis, choice));
        let axes = 0..self.sizes.len();
        let pairs = axes.flat_map(|axis| (axis + 1..self.sizes.len()).map(move |other| (axis, other)));
        let pairs = pairs
            .flat_map(|(axis, other)| choices(axis).flat_map(move |first| choices(other).map(move |second| (first, second))));
        let mut random = Random(1);
        pairs
            .filter(|(first, second)| (self.may_meet)(*first, *second))
            .filter(|pair| self.completed(*pair, &mut random, &BTreeSet::new()).is_some())
            .collect()
    }

    /// A case with two given choices, the others chosen one after another so that they meet those there are, and open pairs first.
    fn completed(&self, pair: (Choice, Choice), random: &mut Random, open: &BTreeSet<(Choice, Choice)>) -> Option<Vec<usize>> {
        const TRIES: usize = 40;
        (0..TRIES).find_map(|_| {
            let mut chosen = vec![pair.0, pair.1];
            let mut axes: Vec<usize> = (0..self.sizes.len()).filter(|axis| *axis != pair.0.0 && *axis != pair.1.0).collect();
            while !axes.is_empty() {
                let axis = axes.swap_remove(random.below(axes.len()));
                let allowed: Vec<Choice> = (0..self.sizes[axis])
                    .map(|choice| (axis, choice))
                    .filter(|choice| chosen.iter().all(|other| (self.may_meet)(*other.min(choice), *other.max(choice))))
                    .collect();
                let first = if allowed.is_empty() { return None } else { random.below(allowed.len()) };
                let gain = |choice: Choice| {
                    chosen.iter().filter(|other| open.contains(&(choice.min(**other), choice.max(**other)))).count()
                };
                let best = (0..allowed.len())
                    .map(|at| allowed[(first + at) % allowed.len()])
                    .rev()
                    .max_by_key(|choice| gain(*choice))?;
                chosen.push(best);
            }
            chosen.sort_unstable();
            Some(chosen.into_iter().map(|(_, choice)| choice).collect())
        })
    }
}

/// The pairs that meet in a case.
pub fn pairs_of(case: &[usize]) -> impl Iterator<Item = (Choice, Choice)> {
    (0..case.len()).flat_map(move |axis| (axis + 1..case.len()).map(move |other| ((axis, case[axis]), (other, case[other]))))
}
