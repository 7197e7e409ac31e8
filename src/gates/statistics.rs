//! Whether the values of one group tend to be greater than those of another: the Mann-Whitney U test, one-sided, and
//! the effect size of Vargha and Delaney.

/// The result of the test for two samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Test {
    /// The p-value: how likely such values are if neither group tends to be greater.
    pub p: f64,
    /// The effect size A12: the probability that a value of the first group is greater than one of the second, with
    /// ties counted as half. From 0 to 1; 0.5 means no difference.
    pub effect: f64,
}

/// Up to this size of the smaller group, and without ties, the exact distribution is used.
const EXACT: usize = 8;
/// Above this size of the larger group, the normal approximation is good enough.
const EXACT_OTHER: usize = 2000;

/// The one-sided test of whether `first` tends to be greater than `second`. No value may be NaN; neither may be empty.
pub fn mann_whitney(first: &[f64], second: &[f64]) -> Test {
    let (n1, n2) = (first.len(), second.len());
    if n1 == 0 || n2 == 0 {
        return Test { p: 1.0, effect: 0.5 };
    }
    let mut all: Vec<(f64, bool)> =
        first.iter().map(|value| (*value, true)).chain(second.iter().map(|value| (*value, false))).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut rank_sum, mut ties, mut tied) = (0.0, 0.0, false);
    let mut start = 0;
    while start < all.len() {
        let same = all[start..].iter().take_while(|(value, _)| *value == all[start].0).count();
        // Ranks start at 1; equal values get the mean of their ranks.
        let rank = start as f64 + (same as f64 + 1.0) / 2.0;
        rank_sum += rank * all[start..start + same].iter().filter(|(_, of_first)| *of_first).count() as f64;
        let t = same as f64;
        ties += t * t * t - t;
        tied |= same > 1;
        start += same;
    }
    let (a, b) = (n1 as f64, n2 as f64);
    let u = rank_sum - a * (a + 1.0) / 2.0;
    let p = match !tied && n1.min(n2) <= EXACT && n1.max(n2) <= EXACT_OTHER {
        true => exact(u.round() as usize, n1, n2),
        false => {
            let n = a + b;
            let deviation = (a * b / 12.0 * ((n + 1.0) - ties / (n * (n - 1.0)))).max(0.0).sqrt();
            if deviation == 0.0 { 1.0 } else { upper_tail((u - a * b / 2.0 - 0.5) / deviation) }
        }
    };
    Test { p: p.clamp(0.0, 1.0), effect: u / (a * b) }
}

/// The probability that U is at least this large, if every order of the values is equally likely.
fn exact(u: usize, n1: usize, n2: usize) -> f64 {
    // The distribution is symmetric in the two sizes, and cheaper to compute with the smaller one first.
    let (small, large) = (n1.min(n2), n1.max(n2));
    // The distribution of U from the factors of the Gaussian binomial coefficient. Fractions instead of counts, which
    // would overflow.
    let top = small * large;
    let mut ways = vec![0.0; top + 1];
    ways[0] = 1.0;
    for i in 1..=small {
        let (up, down) = (large + i, i);
        for at in (up..=top).rev() {
            ways[at] -= ways[at - up];
        }
        for at in down..=top {
            ways[at] += ways[at - down];
        }
        let share = i as f64 / (large + i) as f64;
        ways.iter_mut().for_each(|way| *way *= share);
    }
    // The smaller tail has less rounding error.
    let below: f64 = ways.iter().take(u).sum();
    let above: f64 = ways.iter().skip(u).sum();
    if above < below { above } else { 1.0 - below }
}

/// The upper tail probability of the standard normal distribution at `z`.
fn upper_tail(z: f64) -> f64 {
    if z < 0.0 {
        return 1.0 - upper_tail(-z);
    }
    let density = (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    if z < 3.0 {
        // The series for the probability between 0 and z.
        let (mut term, mut sum, mut n) = (z, z, 1.0);
        while term > sum * 1e-17 {
            n += 2.0;
            term *= z * z / n;
            sum += term;
        }
        return 0.5 - density * sum;
    }
    // Laplace's continued fraction, evaluated backwards.
    let fraction = (1..=60).rev().fold(z, |below, k| z + f64::from(k) / below);
    density / fraction
}

/// The median. No value may be NaN.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-12 + 1e-9 * b.abs()
    }

    /// Tables of the normal distribution (Abramowitz and Stegun, 26.1) and of U, counted by hand.
    #[test]
    fn the_tails_are_those_of_the_tables() {
        for (z, p) in [(0.0, 0.5), (1.0, 0.158_655_253_931_457_05), (1.959_963_984_540_054, 0.025)] {
            assert!(close(upper_tail(z), p), "{z}: {}", upper_tail(z));
            assert!(close(upper_tail(-z), 1.0 - p));
        }
        for (z, p) in
            [(3.0, 1.349_898_031_630_093e-3), (5.0, 2.866_515_718_791_933e-7), (10.0, 7.619_853_024_160_495e-24)]
        {
            assert!((upper_tail(z) / p - 1.0).abs() < 1e-9, "{z}: {}", upper_tail(z));
        }
        // Of the 20 orders of 3 and 3 values, one has all of the first on top, and 13 have U of at least 4.
        let p = |first: &[f64], second: &[f64]| mann_whitney(first, second).p;
        assert!(close(p(&[4., 5., 6.], &[1., 2., 3.]), 1.0 / 20.0));
        assert!(close(p(&[1., 2., 3.], &[4., 5., 6.]), 1.0));
        assert!(close(p(&[1., 4., 5.], &[2., 3., 6.]), 13.0 / 20.0));
        assert!(close(p(&[2.], &[1.]), 0.5));
    }

    #[test]
    fn the_effect_is_the_share_of_pairs_in_which_the_first_is_greater() {
        let effect = |first: &[f64], second: &[f64]| mann_whitney(first, second).effect;
        assert!(close(effect(&[3., 4.], &[1., 2.]), 1.0));
        assert!(close(effect(&[1., 4.], &[2., 3.]), 0.5));
        assert!(close(effect(&[1., 1.], &[1., 1.]), 0.5));
        assert!(close(effect(&[2., 3.], &[1., 2.]), 0.875));
    }

    #[test]
    fn values_that_are_all_equal_or_missing_differ_in_nothing() {
        let same = mann_whitney(&[1.0; 30], &[1.0; 30]);
        assert!(close(same.effect, 0.5) && close(same.p, 1.0), "{same:?}");
        assert_eq!(mann_whitney(&[], &[1.0]), Test { p: 1.0, effect: 0.5 });
        assert_eq!((median(&[]), median(&[3., 1., 2.]), median(&[4., 1.])), (None, Some(2.0), Some(2.5)));
    }
}
