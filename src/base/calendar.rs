//! Days of the Gregorian calendar, in UTC, as if it had always been in use.
//!
//! Years begin in March here, so that the leap day comes last; 400 of them always have the same number of days.

/// Day 0 of year 0, the first of March, in days before 1970.
const FIRST_MARCH: i64 = 719_468;
/// Days of 400 years.
const ERA: i64 = 146_097;

/// Year, month (from 1) and day (from 1) of a day counted from 1970.
pub fn civil(day: i64) -> (i64, i64, i64) {
    let shifted = day + FIRST_MARCH;
    let (era, of_era) = (shifted.div_euclid(ERA), shifted.rem_euclid(ERA));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// The day, counted from 1970, of a year, a month (from 1) and a day (from 1).
pub fn day_of(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * ERA + of_era * 365 + of_era / 4 - of_era / 100 + of_year - FIRST_MARCH
}

/// Seconds since 1970 as `2026-07-11`.
pub fn date(seconds: i64) -> String {
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_go_there_and_back() {
        for (seconds, text) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (951_782_400, "2000-02-29"),
            (1_582_977_601, "2020-02-29"),
            (1_795_392_000, "2026-11-23"),
            (4_102_444_799, "2099-12-31"),
        ] {
            assert_eq!(date(seconds), text);
        }
        for since in (-800_000..800_000).step_by(97) {
            let (year, month, day) = civil(since);
            assert_eq!(day_of(year, month, day), since);
        }
    }
}
