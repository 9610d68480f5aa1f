//! Local regression, as Vega's transform `loess` does it. With the default bandwidth of DVC's templates, 0.001, two neighbours count: the
//! result is the data, but for values with the same x, which become one.
//! <https://github.com/vega/vega/blob/main/packages/vega-statistics/src/regression/loess.js>

const BANDWIDTH: f64 = 0.001;
const ROUNDS: usize = 2;
const EPSILON: f64 = 1e-12;

/// Smooths points that are sorted by x.
pub fn smooth(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let count = points.len();
    if count < 2 {
        return points.to_vec();
    }
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(|point| of(point) / count as f64).sum::<f64>();
    let (mean_x, mean_y) = (mean(|point| point.0), mean(|point| point.1));
    let centred: Vec<(f64, f64)> = points.iter().map(|(x, y)| (x - mean_x, y - mean_y)).collect();
    let near = ((BANDWIDTH * count as f64) as usize).max(2).min(count);
    let (mut weights, mut fitted) = (vec![1.0; count], vec![0.0; count]);
    for round in 0..=ROUNDS {
        let mut window = (0, near - 1);
        for (at, (x, _)) in centred.iter().enumerate() {
            fitted[at] = fit(&centred, &weights, window, *x);
            window = advance(&centred, at + 1, window);
        }
        let residuals: Vec<f64> = centred.iter().zip(&fitted).map(|((_, y), fit)| (y - fit).abs()).collect();
        let middle = median(&residuals);
        if round == ROUNDS || middle < EPSILON {
            break;
        }
        for (weight, residual) in weights.iter_mut().zip(residuals) {
            let part = residual / (6.0 * middle);
            *weight = if part >= 1.0 { EPSILON } else { (1.0 - part * part).powi(2) };
        }
    }
    let mut out: Vec<(f64, f64)> = Vec::new();
    let mut same = 0.0;
    for ((x, _), y) in points.iter().zip(fitted.iter().map(|y| y + mean_y)) {
        match out.last_mut() {
            Some(last) if last.0 == *x => {
                // As Vega does it: the first of several does not count.
                same += 1.0;
                last.1 += (y - last.1) / same;
            }
            _ => {
                same = 0.0;
                out.push((*x, y));
            }
        }
    }
    out
}

/// Returns the value at x of the line through the points of a window.
fn fit(points: &[(f64, f64)], weights: &[f64], (first, last): (usize, usize), x: f64) -> f64 {
    let edge = if x - points[first].0 > points[last].0 - x { first } else { last };
    let far = (points[edge].0 - x).abs();
    let scale = if far == 0.0 { 1.0 } else { 1.0 / far };
    let [mut w, mut wx, mut wy, mut wxy, mut wxx] = [0.0; 5];
    for (point, weight) in points[first..=last].iter().zip(&weights[first..=last]) {
        let distance = (x - point.0).abs() * scale;
        let weight = (1.0 - distance.powi(3)).powi(3) * weight;
        w += weight;
        wx += point.0 * weight;
        wy += point.1 * weight;
        wxy += point.0 * point.1 * weight;
        wxx += point.0 * point.0 * weight;
    }
    let (mx, my) = (wx / w, wy / w);
    let spread = wxx / w - mx * mx;
    let slope = if spread.abs() < 1e-24 { 0.0 } else { (wxy / w - mx * my) / spread };
    my + slope * (x - mx)
}

/// Returns the window of the nearest neighbours of a point.
fn advance(points: &[(f64, f64)], at: usize, (mut first, mut last): (usize, usize)) -> (usize, usize) {
    while let (Some(point), Some(next)) = (points.get(at), points.get(last + 1)) {
        if at <= first || next.0 - point.0 > point.0 - points[first].0 {
            break;
        }
        (first, last) = (first + 1, last + 1);
    }
    (first, last)
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) { f64::midpoint(sorted[middle - 1], sorted[middle]) } else { sorted[middle] }
}
