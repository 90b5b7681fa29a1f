//! Debian packages that are none, or that hold what must not be.

use super::{Answer, Case, Kind};
use crate::tree::archive::{Archive, ar, gzip, xz};

pub fn cases() -> Vec<Case> {
    let good = xz(&Archive::new().file("./f", b"").end());
    let version = ("debian-binary", &b"2.0\n"[..]);
    let control = ("control.tar.xz", &b""[..]);
    let data = ("data.tar.xz", &good[..]);
    let whole = ar(&[version, control, data]);
    let text = String::from_utf8_lossy(&whole[..132]).into_owned();
    let no = |what: &str| format!("not a Debian package: {what}");
    let of = |content: &[u8]| ar(&[version, control, ("data.tar", content)]);
    let cases: Vec<(&str, Vec<u8>, String)> = vec![
        ("nothing", Vec::new(), "the ar data ends early".to_owned()),
        ("no ar archive", good.clone(), no("it does not start as an 'ar' archive")),
        ("a thin ar archive", [&b"!<thin>\n"[..], &whole[8..]].concat(), no("it does not start as an 'ar' archive")),
        ("an empty ar archive", ar(&[]), no("it is empty")),
        ("no version", ar(&[data]), no("its first member is not 'debian-binary'")),
        ("version 3", ar(&[("debian-binary", b"3.0\n"), control, data]), no("its format is not version 2")),
        (
            "a version of a kilobyte",
            ar(&[("debian-binary", &[b'2'; 1024]), control, data]),
            no("its first member is not 'debian-binary'"),
        ),
        ("no data", ar(&[version, control]), no("it has no 'data.tar' member")),
        ("no control", ar(&[version, data]), no("'data.tar' comes before 'control.tar'")),
        ("data before control", ar(&[version, data, control]), no("'data.tar' comes before 'control.tar'")),
        ("data twice", ar(&[version, control, data, data]), no("it has two 'data.tar' members")),
        ("control twice", ar(&[version, control, control, data]), no("it has a member that 'deb(5)' does not know")),
        (
            "an unknown member",
            ar(&[version, control, ("postinst", b""), data]),
            no("it has a member that 'deb(5)' does not know"),
        ),
        ("cut in its data", whole[..whole.len() - 9].to_vec(), "the xz data ends early".to_owned()),
        ("cut in a header", whole[..100].to_vec(), "the ar data ends early".to_owned()),
        (
            "a malformed header",
            text.replace("`\n", "'\n").into_bytes(),
            no("a header of its 'ar' archive is malformed"),
        ),
        (
            "a negative size",
            text.replace("4         `", "-4        `").into_bytes(),
            no("a size in its 'ar' archive is not a number"),
        ),
        ("a size beyond the end", sized(&whole, "9999999999"), "the ar data ends early".to_owned()),
        ("a size that is too small", sized(&whole, "1"), no("a header of its 'ar' archive is malformed")),
        (
            "a parent in its data",
            of(&gzip(&Archive::new().file("../f", b"").end())),
            "the name '../f' is refused: the path contains '..'".to_owned(),
        ),
        (
            "written through a link to the root",
            of(&Archive::new().link("./l", "/tmp").file("./l/f", b"").end()),
            "./l/f: 'l' is a symbolic link, nothing can be beneath it".to_owned(),
        ),
        (
            "a device",
            of(&Archive::new().head(crate::tree::archive::head(b'3', "./null")).end()),
            "./null: a character device in an archive is refused".to_owned(),
        ),
    ];
    let refused = cases.into_iter().map(|(name, bytes, message)| case(name, bytes, Answer::Refused(message)));
    let made = |lines: &[&str]| Answer::Made(lines.iter().map(|line| (*line).to_owned()).collect());
    let links = of(&Archive::new().link("./lib", "/usr/lib").end());
    refused
        .chain([
            case("honest", whole.clone(), made(&["f = 0"])),
            case("signed", ar(&[version, ("_gpgorigin", b"odd"), control, data]), made(&["f = 0"])),
            case("links to the root, which is the jail's", links, made(&["lib -> /usr/lib"])),
        ])
        .collect()
}

fn case(name: &str, bytes: Vec<u8>, answer: Answer) -> Case {
    Case { name: format!("packages/{name}"), make: Box::new(move || bytes.clone()), kind: Kind::Deb, answer }
}

/// The same with another size for the control member.
fn sized(whole: &[u8], size: &str) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    let field = 8 + 60 + 4 + 48;
    bytes[field..field + 10].copy_from_slice(format!("{size:<10}").as_bytes());
    bytes
}
