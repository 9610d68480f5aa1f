//! Distributions: Student's t, the normal, the binomial with a probability of one half, and ways to choose.

/// The incomplete beta function is exact to this part.
const PRECISION: f64 = 1e-15;
const MAX_STEPS: u32 = 100_000;
/// Stands for 0 in a denominator.
const TINY: f64 = 1e-300;

/// Returns how likely a `t` of this size, or a larger one, is.
pub fn t_two_sided(t: f64, freedom: f64) -> f64 {
    if t.is_nan() { 1.0 } else { incomplete_beta(freedom / 2.0, 0.5, freedom / (freedom + t * t)) }
}

/// Returns the `t` of which `t_two_sided` is 0.05.
pub fn t_width(freedom: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while t_two_sided(high, freedom) > 0.05 && high < 1e9 {
        (low, high) = (high, 2.0 * high);
    }
    // Until there is no number between them.
    loop {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            return middle;
        }
        if t_two_sided(middle, freedom) > 0.05 { low = middle } else { high = middle }
    }
}

/// Returns how likely a `z` of this size, or a larger one, is.
pub fn normal_two_sided(z: f64) -> f64 {
    libm::erfc(z.abs() / std::f64::consts::SQRT_2)
}

/// Returns how likely at most `count` of `all` are, each with the probability of one half.
pub fn binomial_below(count: u64, all: u64) -> f64 {
    if count >= all { 1.0 } else { incomplete_beta((all - count) as f64, count as f64 + 1.0, 0.5) }
}

/// Returns the logarithm of the number of ways to choose some of all.
pub fn ln_choose(all: u64, some: u64) -> f64 {
    let ln_factorial = |number: u64| libm::lgamma(number as f64 + 1.0);
    ln_factorial(all) - ln_factorial(some) - ln_factorial(all - some)
}

/// Returns the regularized incomplete beta function: <https://dlmf.nist.gov/8.17>.
fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return if x <= 0.0 { 0.0 } else { 1.0 };
    }
    let front = libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b) + a * x.ln() + b * (-x).ln_1p();
    // The fraction converges fast on this side only.
    if x < (a + 1.0) / (a + b + 2.0) {
        front.exp() * beta_fraction(a, b, x) / a
    } else {
        1.0 - front.exp() * beta_fraction(b, a, 1.0 - x) / b
    }
}

/// Evaluates the continued fraction <https://dlmf.nist.gov/8.17#E22> by Lentz's method.
fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    let bound = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / bound(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for step in 1..MAX_STEPS {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut factor = 1.0;
        for term in [even, odd] {
            d = 1.0 / bound(1.0 + term * d);
            c = bound(1.0 + term / c);
            factor = d * c;
            fraction *= factor;
        }
        if (factor - 1.0).abs() < PRECISION {
            break;
        }
    }
    fraction
}
