//! The container of Debian packages: `ar` as `deb(5)` narrows it down.

use super::Error;
use std::io::{BufReader, Read};

const MAGIC: &[u8] = b"!<arch>\n";
const HEADER: usize = 60;

/// Hands the compressed content of a package to `take` and checks everything around it.
pub(super) fn deb_content(
    package: impl Read,
    take: impl FnOnce(&mut dyn Read) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut package = BufReader::with_capacity(128 << 10, package);
    let mut magic = [0; MAGIC.len()];
    exactly(&mut package, &mut magic)?;
    if magic != MAGIC {
        return Err(Error::NotDeb { reason: "it does not start as an 'ar' archive" });
    }
    let (name, size) = header(&mut package)?.ok_or(Error::NotDeb { reason: "it is empty" })?;
    if name != b"debian-binary" || size > 64 {
        return Err(Error::NotDeb { reason: "its first member is not 'debian-binary'" });
    }
    let mut version = vec![0; size as usize];
    exactly(&mut package, &mut version)?;
    align(&mut package, size)?;
    if !version.starts_with(b"2.") {
        return Err(Error::NotDeb { reason: "its format is not version 2" });
    }
    let mut take = Some(take);
    let mut control = false;
    while let Some((name, size)) = header(&mut package)? {
        let mut content = package.by_ref().take(size);
        if name.starts_with(b"data.tar") {
            let take = take.take().ok_or(Error::NotDeb { reason: "it has two 'data.tar' members" })?;
            if !control {
                return Err(Error::NotDeb { reason: "'data.tar' comes before 'control.tar'" });
            }
            take(&mut content)?;
        } else if name.starts_with(b"control.tar") && take.is_some() && !control {
            control = true;
        } else if !name.starts_with(b"_") {
            // deb(5) leaves names with an underscore to others, such as signatures.
            return Err(Error::NotDeb { reason: "it has a member that 'deb(5)' does not know" });
        }
        std::io::copy(&mut content, &mut std::io::sink()).map_err(|e| Error::from_stream("ar", e))?;
        if content.limit() > 0 {
            return Err(Error::Truncated { format: "ar" });
        }
        align(&mut package, size)?;
    }
    match take {
        None => Ok(()),
        Some(_) => Err(Error::NotDeb { reason: "it has no 'data.tar' member" }),
    }
}

/// Name and size of the next member; `None` at the end.
fn header(package: &mut impl Read) -> Result<Option<(Vec<u8>, u64)>, Error> {
    let mut header = Vec::with_capacity(HEADER);
    package.take(HEADER as u64).read_to_end(&mut header).map_err(|e| Error::from_stream("ar", e))?;
    match header.len() {
        0 => return Ok(None),
        HEADER => {}
        _ => return Err(Error::Truncated { format: "ar" }),
    }
    if &header[58..60] != b"`\n" {
        return Err(Error::NotDeb { reason: "a header of its 'ar' archive is malformed" });
    }
    let trimmed = |field: &[u8]| field[..field.iter().rposition(|byte| *byte != b' ').map_or(0, |at| at + 1)].to_vec();
    let mut name = trimmed(&header[..16]);
    if name.last() == Some(&b'/') {
        name.pop();
    }
    let size = String::from_utf8(trimmed(&header[48..58]))
        .ok()
        .filter(|size| !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|size| size.parse().ok())
        .ok_or(Error::NotDeb { reason: "a size in its 'ar' archive is not a number" })?;
    Ok(Some((name, size)))
}

/// Past the byte that follows a member of odd size.
fn align(package: &mut impl Read, size: u64) -> Result<(), Error> {
    match size % 2 {
        0 => Ok(()),
        _ => exactly(package, &mut [0]),
    }
}

fn exactly(package: &mut impl Read, buffer: &mut [u8]) -> Result<(), Error> {
    package.read_exact(buffer).map_err(|e| Error::from_stream("ar", e))
}
