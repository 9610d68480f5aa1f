//! The server's clock: real, skewed, or ticking; and the date forms that the three vendors write.

use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds in a second.
const SECOND: u64 = 1_000_000;

/// Where the server takes its time from.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// The machine's time plus this many seconds, to play a server whose clock is wrong.
    Real(i64),
    /// Starts at this Unix time; each object that is created moves it on by a second. For snapshots.
    Ticking(u64),
}

impl Clock {
    /// The time now, without moving a ticking clock.
    pub fn now(&self) -> Time {
        match *self {
            Clock::Real(skew) => Time(system_micros().saturating_add_signed(skew * SECOND as i64)),
            Clock::Ticking(at) => Time(at * SECOND),
        }
    }

    /// The time for a new object; moves a ticking clock on.
    pub fn tick(&mut self) -> Time {
        let now = self.now();
        if let Clock::Ticking(at) = self {
            *at += 1;
        }
        now
    }
}

fn system_micros() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_micros() as u64
}

/// A moment: microseconds since 1970 in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub u64);

impl Time {
    /// `2026-01-02T03:04:05Z`, as GitHub writes it: whole seconds.
    pub fn seconds(self) -> String {
        format!("{}Z", self.date_time())
    }

    /// `2026-01-02T03:04:05.678Z`, as GitLab writes it.
    pub fn millis(self) -> String {
        format!("{}.{:03}Z", self.date_time(), self.0 % SECOND / 1000)
    }

    /// `2026-01-02T03:04:05.678901+00:00`, as Bitbucket writes it.
    pub fn micros(self) -> String {
        format!("{}.{:06}+00:00", self.date_time(), self.0 % SECOND)
    }

    /// `Fri, 02 Jan 2026 03:04:05 GMT`, for the `Date` header.
    pub fn http_date(self) -> String {
        const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
        const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let days = self.0 / SECOND / 86_400;
        let (year, month, day) = civil(days);
        let (hour, minute, second) = self.time_of_day();
        let (name, month) = (DAYS[(days % 7) as usize], MONTHS[month as usize - 1]);
        format!("{name}, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} GMT")
    }

    /// Reads an RFC 3339 time (`since=…`).
    pub fn parse(text: &str) -> Option<Time> {
        let number = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        let zone = text.get(19..)?.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
        let shift = match zone.as_bytes().first() {
            Some(sign @ (b'+' | b'-')) => {
                let hours: i64 = zone.get(1..3)?.parse().ok()?;
                let minutes: i64 = zone.get(zone.len().checked_sub(2)?..)?.parse().ok()?;
                let shift = hours * 3600 + minutes * 60;
                if *sign == b'+' { -shift } else { shift }
            }
            _ => 0,
        };
        let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
        Some(Time(seconds.saturating_add_signed(shift) * SECOND))
    }

    fn date_time(self) -> String {
        let (year, month, day) = civil(self.0 / SECOND / 86_400);
        let (hour, minute, second) = self.time_of_day();
        format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
    }

    fn time_of_day(self) -> (u64, u64, u64) {
        let seconds = self.0 / SECOND % 86_400;
        (seconds / 3600, seconds / 60 % 60, seconds % 60)
    }
}

/// Days since 1970 to year, month, day (Howard Hinnant's algorithm for the Gregorian calendar).
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

/// The inverse of [`civil`].
fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let year = year - u64::from(month <= 2);
    let (era, year_of_era) = (year / 400, year % 400);
    let shifted = (month + 9) % 12;
    let day_of_year = (153 * shifted + 2) / 5 + day.saturating_sub(1);
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).saturating_sub(719_468)
}
