//! Cuts a stream into lines.

/// Longer lines come in pieces of this size.
pub(super) const LONGEST: usize = 64 << 10;

/// What was read of a line that has not ended yet.
#[derive(Debug, Default)]
pub(super) struct Lines {
    open: Vec<u8>,
}

impl Lines {
    /// Takes the next bytes and gives every line that ended, without its end.
    pub(super) fn feed(&mut self, mut bytes: &[u8], line: &mut dyn FnMut(&[u8])) {
        while !bytes.is_empty() {
            let room = LONGEST - self.open.len();
            let end = bytes.iter().take(room + 1).position(|b| *b == b'\n');
            match end {
                Some(end) if self.open.is_empty() => line(&bytes[..end]),
                Some(end) => {
                    self.open.extend_from_slice(&bytes[..end]);
                    line(&self.open);
                    self.open.clear();
                }
                None if bytes.len() > room => {
                    self.open.extend_from_slice(&bytes[..room]);
                    line(&self.open);
                    self.open.clear();
                    bytes = &bytes[room..];
                    continue;
                }
                None => {
                    self.open.extend_from_slice(bytes);
                    return;
                }
            }
            bytes = &bytes[end.unwrap_or(0) + 1..];
        }
    }

    /// Gives what is left when the stream (or a step) has ended.
    pub(super) fn end(&mut self, line: &mut dyn FnMut(&[u8])) {
        if !self.open.is_empty() {
            line(&self.open);
            self.open.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(chunks: &[&[u8]]) -> Vec<Vec<u8>> {
        let (mut lines, mut out) = (Lines::default(), Vec::new());
        for chunk in chunks {
            lines.feed(chunk, &mut |l| out.push(l.to_vec()));
        }
        lines.end(&mut |l| out.push(l.to_vec()));
        out
    }

    #[test]
    fn lines_are_whole_however_they_arrive() {
        assert_eq!(cut(&[b"a\nb", b"c\n\n", b"d"]), [&b"a"[..], b"bc", b"", b"d"]);
        assert_eq!(cut(&[b"a\n"]), [b"a"]);
        assert_eq!(cut(&[]), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn long_lines_come_in_pieces() {
        let long = vec![b'x'; LONGEST * 2 + 1];
        let sizes: Vec<usize> = cut(&[&long, b"\ny"]).iter().map(Vec::len).collect();
        assert_eq!(sizes, [LONGEST, LONGEST, 1, 1]);
        let exact = [vec![b'x'; LONGEST], b"\n".to_vec()].concat();
        assert_eq!(cut(&[&exact]).iter().map(Vec::len).collect::<Vec<_>>(), [LONGEST]);
        assert_eq!(cut(&[&exact[..LONGEST], b"\n"]).iter().map(Vec::len).collect::<Vec<_>>(), [LONGEST]);
    }
}
