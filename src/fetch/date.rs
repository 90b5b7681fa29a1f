//! Dates as archives write them; UTC only.

use crate::base::day_of;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

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
    (in_day && (0..=60).contains(&second))
        .then(|| day_of(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read() {
        assert_eq!(parse("Thu, 01 Jan 1970 00:00:00 UTC"), Some(0));
        assert_eq!(parse("Sat, 29 Feb 2020 12:00:01 UTC"), Some(1_582_977_601));
        assert_eq!(parse("11 Jul 2026 08:47:41 +0200"), None);
        assert_eq!(parse("soon"), None);
    }
}
