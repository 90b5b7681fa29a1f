//! Dates and times in bytes.

use super::holds_word;
use crate::base::{civil, day_of};

/// A date or a time that was found in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// How it is written.
    pub form: &'static str,
    /// The bytes, printable.
    pub text: String,
}

/// The first way in which bytes hold a moment between `from` and `to`, in seconds since 1970, the most precise one first.
pub fn moment(bytes: &[u8], from: i64, to: i64) -> Option<Moment> {
    let digits = |length: usize, unit: i64, form| {
        let mut runs = bytes.split(|byte| !byte.is_ascii_digit()).filter(move |run| run.len() == length);
        runs.find_map(|run| {
            let text = std::str::from_utf8(run).ok()?;
            let value: i64 = text.parse().ok()?;
            (from..=to).contains(&(value / unit)).then(|| Moment { form, text: text.to_owned() })
        })
    };
    digits(10, 1, "seconds since 1970")
        .or_else(|| digits(13, 1_000, "milliseconds since 1970"))
        .or_else(|| digits(19, 1_000_000_000, "nanoseconds since 1970"))
        .or_else(|| spelled(bytes, from, to))
        .or_else(|| packed(bytes, from, to))
}

/// Dates as people write them. A run has few days, so each is spelled out and looked for.
fn spelled(bytes: &[u8], from: i64, to: i64) -> Option<Moment> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    // A time zone moves a moment by up to 14 hours.
    let days = (from - 50_400).div_euclid(86_400)..=(to + 50_400).div_euclid(86_400);
    for day in days.take(4) {
        let (y, m, d) = civil(day);
        let month = MONTHS[(m - 1) as usize];
        let forms = [
            ("year-month-day", format!("{y}-{m:02}-{d:02}")),
            ("yearmonthday", format!("{y}{m:02}{d:02}")),
            ("the form of __DATE__", format!("{month} {d:>2} {y}")),
            ("the form of mail headers", format!("{d:02} {month} {y}")),
            ("the form of mail headers", format!("{d} {month} {y}")),
            ("the form of date", format!("{month} {d:>2} ")),
            ("month/day/year", format!("{m:02}/{d:02}/{y}")),
            ("month/day/year", format!("{m:02}/{d:02}/{:02}", y % 100)),
            ("day.month.year", format!("{d:02}.{m:02}.{y}")),
            ("year/month/day", format!("{y}/{m:02}/{d:02}")),
        ];
        // ISO 8601 has the time of day follow without a gap.
        let with_time = |text: &str| (0..24).any(|hour| holds_word(bytes, format!("{text}T{hour:02}").as_bytes()));
        let holds =
            |form: &str, text: &str| holds_word(bytes, text.as_bytes()) || form == "year-month-day" && with_time(text);
        if let Some((form, text)) = forms.into_iter().find(|(form, text)| holds(form, text)) {
            return Some(Moment { form, text });
        }
    }
    let (from, to) = (civil(from.div_euclid(86_400)).0, civil(to.div_euclid(86_400)).0);
    let year = (from..=to).map(|year| year.to_string()).find(|year| holds_word(bytes, year.as_bytes()))?;
    Some(Moment { form: "the year", text: year })
}

/// Times as machines write them. Compressed or long content holds any four bytes somewhere: only short content counts.
fn packed(bytes: &[u8], from: i64, to: i64) -> Option<Moment> {
    const LONGEST: usize = 64 << 10;
    let within = |value: u32| (from..=to).contains(&i64::from(value));
    let quads = bytes.windows(4).take(LONGEST).map(|quad| <[u8; 4]>::try_from(quad).unwrap_or_default());
    for quad in quads {
        let hex = || format!("{:02x}{:02x}{:02x}{:02x}", quad[0], quad[1], quad[2], quad[3]);
        if within(u32::from_le_bytes(quad)) || within(u32::from_be_bytes(quad)) {
            return Some(Moment { form: "seconds since 1970, in 4 bytes", text: hex() });
        }
        let (time, date) = (u16::from_le_bytes([quad[0], quad[1]]), u16::from_le_bytes([quad[2], quad[3]]));
        if (from - 50_400..=to + 50_400).contains(&dos(time, date)) && dos(time, date) > from - 50_400 {
            return Some(Moment { form: "the form of DOS and zip", text: hex() });
        }
    }
    None
}

/// Seconds since 1970 of a DOS time stamp.
fn dos(time: u16, date: u16) -> i64 {
    let (year, month, day) = (1980 + i64::from(date >> 9), i64::from(date >> 5 & 15), i64::from(date & 31));
    let (hour, minute, second) = (i64::from(time >> 11), i64::from(time >> 5 & 63), i64::from(time & 31) * 2);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return i64::MIN / 2;
    }
    day_of(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2031-06-15 12:00:00 UTC, a Sunday.
    const THEN: i64 = 1_939_291_200;

    fn form(bytes: &[u8]) -> Option<&'static str> {
        moment(bytes, THEN, THEN + 60).map(|moment| moment.form)
    }

    #[test]
    fn dates_are_known_in_every_usual_form() {
        for (bytes, expected) in [
            (&b"built 1939291230\n"[..], "seconds since 1970"),
            (b"1939291230123", "milliseconds since 1970"),
            (b"1939291230.123456789", "seconds since 1970"),
            (b"1939291230123456789", "nanoseconds since 1970"),
            (b"on 2031-06-15T12:00:30Z", "year-month-day"),
            (b"built 20310615", "yearmonthday"),
            (b"Jun 15 2031", "the form of __DATE__"),
            (b"Sun, 15 Jun 2031 12:00:30 +0000", "the form of mail headers"),
            (b"Sun Jun 15 12:00:30 UTC 2031", "the form of date"),
            (b"06/15/31", "month/day/year"),
            (b"(c) 2031", "the year"),
            (&[0xff, 0x5e, 0x3c, 0x97, 0x73, 0, 0], "seconds since 1970, in 4 bytes"),
            (&[0x73, 0x97, 0x3c, 0x5e], "seconds since 1970, in 4 bytes"),
        ] {
            assert_eq!(form(bytes), Some(expected), "{}", String::from_utf8_lossy(bytes));
        }
        // Another day, another second, a part of a longer number.
        for other in [&b"2030-08-15 1939291100 x2031"[..], b"19392912300", b"v20310615", b"(c) 2026"] {
            assert_eq!(form(other), None, "{}", String::from_utf8_lossy(other));
        }
    }

    #[test]
    fn dos_times_are_read() {
        // 2031-06-15 12:00:30.
        let (date, time) = ((2031 - 1980) << 9 | 6 << 5 | 15_u16, 12 << 11 | 15_u16);
        assert_eq!(dos(time, date), THEN + 30);
        let [a, b] = time.to_le_bytes();
        let [c, d] = date.to_le_bytes();
        assert_eq!(form(&[b'P', b'K', a, b, c, d]), Some("the form of DOS and zip"));
    }
}
