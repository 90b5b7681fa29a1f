//! Small files of foreign formats, put together by hand so that every field can be chosen.

use std::io::Write as _;

/// A member of a cpio archive.
pub fn cpio(members: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut all = Vec::new();
    let end: (&str, u32, &[u8]) = ("TRAILER!!!", 0, b"");
    for (at, (name, mtime, content)) in members.iter().chain([&end]).enumerate() {
        let numbers = [at as u32 + 1, 0o100_644, 0, 0, 1, *mtime, content.len() as u32, 0, 0, 0, 0];
        all.extend_from_slice(b"070701");
        for number in numbers.iter().chain(&[name.len() as u32 + 1, 0]) {
            all.extend_from_slice(format!("{number:08X}").as_bytes());
        }
        all.extend_from_slice(name.as_bytes());
        all.push(0);
        all.resize(all.len().next_multiple_of(4), 0);
        all.extend_from_slice(content);
        all.resize(all.len().next_multiple_of(4), 0);
    }
    all
}

pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// A member of a zip archive: packed unless the level is 0.
pub struct Zipped<'a> {
    pub name: &'a str,
    pub content: &'a [u8],
    pub level: u32,
    /// Date and time as DOS wrote them.
    pub time: u32,
    pub comment: &'a str,
}

pub fn zipped<'a>(name: &'a str, content: &'a [u8]) -> Zipped<'a> {
    Zipped { name, content, level: 6, time: 0x5821_6000, comment: "" }
}

pub fn zip(members: &[Zipped<'_>], comment: &str) -> Vec<u8> {
    let (mut all, mut directory) = (Vec::new(), Vec::new());
    for member in members {
        let packed = match member.level {
            0 => member.content.to_vec(),
            level => {
                let mut out = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::new(level));
                out.write_all(member.content).unwrap();
                out.finish().unwrap()
            }
        };
        let method = if member.level == 0 { 0_u16 } else { 8 };
        let offset = all.len() as u32;
        let mut fixed = 20_u16.to_le_bytes().to_vec();
        fixed.extend_from_slice(&[0, 0]);
        fixed.extend_from_slice(&method.to_le_bytes());
        fixed.extend_from_slice(&member.time.to_le_bytes());
        for number in [crc32(member.content), packed.len() as u32, member.content.len() as u32] {
            fixed.extend_from_slice(&number.to_le_bytes());
        }
        fixed.extend_from_slice(&(member.name.len() as u16).to_le_bytes());
        fixed.extend_from_slice(&[0, 0]);
        all.extend_from_slice(b"PK\x03\x04");
        all.extend_from_slice(&fixed);
        all.extend_from_slice(member.name.as_bytes());
        all.extend_from_slice(&packed);
        directory.extend_from_slice(b"PK\x01\x02\x14\x03");
        directory.extend_from_slice(&fixed);
        directory.extend_from_slice(&(member.comment.len() as u16).to_le_bytes());
        directory.extend_from_slice(&[0; 8]);
        directory.extend_from_slice(&offset.to_le_bytes());
        directory.extend_from_slice(member.name.as_bytes());
        directory.extend_from_slice(member.comment.as_bytes());
    }
    let count = (members.len() as u16).to_le_bytes();
    let (start, size) = (all.len() as u32, directory.len() as u32);
    all.extend_from_slice(&directory);
    all.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    all.extend_from_slice(&[count, count].concat());
    all.extend_from_slice(&size.to_le_bytes());
    all.extend_from_slice(&start.to_le_bytes());
    all.extend_from_slice(&(comment.len() as u16).to_le_bytes());
    all.extend_from_slice(comment.as_bytes());
    all
}

/// A little-endian catalogue of messages; `unused` fills a gap that no reader looks at.
pub fn mo(messages: &[(&str, &str)], unused: u8) -> Vec<u8> {
    let count = messages.len() as u32;
    let mut head = vec![0x95_04_12_de, 0, count, 28, 28 + 8 * count, 0, 28 + 16 * count];
    let mut texts = vec![unused; 4];
    let base = 28 + 16 * count;
    for pick in [|message: &(&str, &str)| message.0.to_owned(), |message: &(&str, &str)| message.1.to_owned()] {
        for message in messages {
            let text = pick(message);
            head.extend([text.len() as u32, base + texts.len() as u32]);
            texts.extend_from_slice(text.as_bytes());
            texts.push(0);
        }
    }
    head.into_iter().flat_map(u32::to_le_bytes).chain(texts).collect()
}

pub fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [&kind[..], data].concat();
    [&(data.len() as u32).to_be_bytes()[..], &body, &crc32(&body).to_be_bytes()].concat()
}

/// An image of grey pixels, four in a row.
pub fn png(pixels: &[u8], level: u32, more: &[Vec<u8>]) -> Vec<u8> {
    let rows: Vec<u8> = pixels.chunks(4).flat_map(|row| [&[0], row].concat()).collect();
    let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::new(level));
    packed.write_all(&rows).unwrap();
    let size = [4_u32.to_be_bytes(), (pixels.len() as u32 / 4).to_be_bytes()].concat();
    let mut all = b"\x89PNG\r\n\x1a\n".to_vec();
    all.extend(chunk(b"IHDR", &[&size[..], &[8, 0, 0, 0, 0]].concat()));
    all.extend(more.concat());
    all.extend(chunk(b"IDAT", &packed.finish().unwrap()));
    all.extend(chunk(b"IEND", b""));
    all
}

/// Compiled Python: a module with a text and a function `f`, for the given magic number.
pub struct Pyc {
    pub magic: u16,
    pub mtime: u32,
    pub text: &'static str,
    pub lines: &'static [u8],
    pub shared: bool,
    pub constant: i32,
}

impl Pyc {
    pub fn bytes(&self) -> Vec<u8> {
        let mut all = self.magic.to_le_bytes().to_vec();
        all.extend_from_slice(b"\r\n");
        if self.magic >= 3390 {
            all.extend_from_slice(&[0; 4]);
        }
        all.extend_from_slice(&self.mtime.to_le_bytes());
        all.extend_from_slice(&77_u32.to_le_bytes());
        let number = [&b"i"[..], &self.constant.to_le_bytes()].concat();
        let inner = self.code("f", "f", &[number, b"N".to_vec()]);
        let text = self.short(self.text);
        all.extend(self.code("<module>", "<module>", &[text, inner]));
        all
    }

    fn short(&self, text: &str) -> Vec<u8> {
        let tag = if self.shared { b'z' | 0x80 } else { b'z' };
        [&[tag, text.len() as u8], text.as_bytes()].concat()
    }

    fn tuple(items: &[Vec<u8>]) -> Vec<u8> {
        [&[b')', items.len() as u8][..], &items.concat()].concat()
    }

    fn bytes_of(bytes: &[u8]) -> Vec<u8> {
        [&b"s"[..], &(bytes.len() as u32).to_le_bytes(), bytes].concat()
    }

    fn code(&self, name: &str, qualified: &str, constants: &[Vec<u8>]) -> Vec<u8> {
        let mut all = b"c".to_vec();
        let numbers = if (3400..3450).contains(&self.magic) { 6 } else { 5 };
        all.extend(std::iter::repeat_n(1_u32.to_le_bytes(), numbers).flatten());
        all.extend(Self::bytes_of(b"\x97\0d\0"));
        all.extend(Self::tuple(constants));
        all.extend(Self::tuple(&[]));
        all.extend(Self::tuple(&[]));
        if self.magic < 3450 {
            all.extend([Self::tuple(&[]), Self::tuple(&[])].concat());
        } else {
            all.extend(Self::bytes_of(b""));
        }
        all.extend(self.short("m.py"));
        all.extend(self.short(name));
        if self.magic >= 3450 {
            all.extend(self.short(qualified));
        }
        all.extend_from_slice(&3_u32.to_le_bytes());
        all.extend(Self::bytes_of(self.lines));
        if self.magic >= 3450 {
            all.extend(Self::bytes_of(b""));
        }
        all
    }
}
