//! The values of one tag in one run, in bounded memory.

/// One value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// The step, as the training counts.
    pub step: i64,
    /// When it was logged, in seconds since 1970.
    pub wall_time: f64,
    /// The value; may be infinite or not a number.
    pub value: f64,
}

/// So many points are kept at most, besides the last, the least and the greatest.
pub const KEPT: usize = 1000;

/// The values of a tag: the last, the least and the greatest exactly, and of the others every second, fourth, eighth…
#[derive(Debug, Clone, Default)]
pub struct Series {
    points: Vec<Point>,
    /// How many doublings there were: every `1 << halvings`th point is kept.
    halvings: u32,
    count: u64,
    last: Option<(u64, Point)>,
    min: Option<(u64, Point)>,
    max: Option<(u64, Point)>,
    /// The greatest step.
    furthest: Option<i64>,
}

impl Series {
    /// Adds a point at the end.
    pub fn push(&mut self, point: Point) {
        let index = self.count;
        self.count += 1;
        self.furthest = self.furthest.max(Some(point.step));
        let beats = |best: &Option<(u64, Point)>, better: fn(&f64, &f64) -> bool| {
            !point.value.is_nan() && best.is_none_or(|(_, best)| better(&point.value, &best.value))
        };
        if beats(&self.min, f64::lt) {
            self.min = Some((index, point));
        }
        if beats(&self.max, f64::gt) {
            self.max = Some((index, point));
        }
        self.last = Some((index, point));
        if index.is_multiple_of(1 << self.halvings) {
            self.points.push(point);
        }
        if self.points.len() > KEPT {
            let mut even = false;
            self.points.retain(|_| {
                even = !even;
                even
            });
            self.halvings += 1;
        }
    }

    /// Returns how many points there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns the last value.
    pub fn last(&self) -> Option<Point> {
        self.last.map(|(_, point)| point)
    }

    /// Returns the least value, the first of several; what is not a number is none.
    pub fn min(&self) -> Option<Point> {
        self.min.map(|(_, point)| point)
    }

    /// Returns the greatest value, in the same way.
    pub fn max(&self) -> Option<Point> {
        self.max.map(|(_, point)| point)
    }

    /// Returns the points to draw, in the order in which they were logged: those that are kept, and the last, least
    /// and greatest.
    pub fn line(&self) -> Vec<Point> {
        let kept = self.points.iter().enumerate().map(|(n, point)| ((n as u64) << self.halvings, *point));
        let mut all: Vec<(u64, Point)> = kept.chain([self.last, self.min, self.max].into_iter().flatten()).collect();
        all.sort_by_key(|(index, _)| *index);
        all.dedup_by_key(|(index, _)| *index);
        all.into_iter().map(|(_, point)| point).collect()
    }

    /// Returns whether it is known what remains without the steps from this one on.
    pub fn can_cut(&self, step: i64) -> bool {
        self.halvings == 0 || self.furthest.is_none_or(|furthest| furthest < step)
    }

    /// Takes the steps from this one on away.
    pub fn cut(&mut self, step: i64) {
        if self.furthest.is_some_and(|furthest| furthest >= step) {
            let before = std::mem::take(self);
            before.points.into_iter().filter(|point| point.step < step).for_each(|point| self.push(point));
        }
    }
}
