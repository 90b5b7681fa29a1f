//! Dates as people and archives write them; UTC only.

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Seconds since 1970 as `2026-07-11`.
pub(super) fn day(seconds: i64) -> String {
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    format!("{year:04}-{month:02}-{day:02}")
}

/// `Sat, 11 Jul 2026 08:47:41 UTC` as seconds since 1970.
pub(super) fn parse(text: &str) -> Option<i64> {
    let rest = text.split_once(',').map_or(text, |(_, rest)| rest);
    let mut words = rest.split_ascii_whitespace();
    let day: i64 = words.next()?.parse().ok()?;
    let name = words.next()?;
    let month = MONTHS.iter().position(|m| name.eq_ignore_ascii_case(m))? as i64 + 1;
    let year: i64 = words.next()?.parse().ok()?;
    let mut time = words.next()?.split(':').map(str::parse::<i64>);
    let (hour, minute, second) = (time.next()?.ok()?, time.next()?.ok()?, time.next()?.ok()?);
    if !matches!(words.next(), Some("UTC" | "GMT" | "+0000" | "Z")) || !(1970..=9999).contains(&year) {
        return None;
    }
    let in_day = (1..=31).contains(&day) && (0..24).contains(&hour) && (0..60).contains(&minute);
    (in_day && (0..=60).contains(&second)).then(|| days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Days since 1970 of a day of the Gregorian calendar. Years begin in March here, so that the leap day comes last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

fn civil(since_1970: i64) -> (i64, i64, i64) {
    let shifted = since_1970 + 719_468;
    // A first guess that is never too late and at most one year early, then a step.
    let mut year = shifted.div_euclid(366).max(0) + shifted.div_euclid(366) / 1461;
    while days(year + 1, 3, 1) <= since_1970 {
        year += 1;
    }
    let day_of_year = since_1970 - days(year, 3, 1);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_go_there_and_back() {
        assert_eq!(parse("Thu, 01 Jan 1970 00:00:00 UTC"), Some(0));
        assert_eq!(parse("Sat, 29 Feb 2020 12:00:01 UTC"), Some(1_582_977_601));
        assert_eq!(parse("11 Jul 2026 08:47:41 +0200"), None);
        assert_eq!(parse("soon"), None);
        for (seconds, text) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (1_582_977_601, "2020-02-29"),
            (4_102_444_799, "2099-12-31"),
        ] {
            assert_eq!(day(seconds), text);
        }
        for since in (-200_000..200_000).step_by(97) {
            let (year, month, day) = civil(since);
            assert_eq!(days(year, month, day), since);
        }
    }
}
