//! Archives put together by hand: every field can lie.

use std::io::Write;

/// A tar archive that is put together header by header, so that every field can lie.
#[derive(Default, Clone)]
pub struct Archive(pub Vec<u8>);

pub struct Head {
    pub kind: u8,
    pub name: Vec<u8>,
    pub link: Vec<u8>,
    pub size: u64,
    pub mode: u32,
    pub mtime: u64,
    pub magic: &'static [u8],
}

pub fn head(kind: u8, name: impl AsRef<[u8]>) -> Head {
    let (name, link) = (name.as_ref().to_vec(), Vec::new());
    Head { kind, name, link, size: 0, mode: 0o644, mtime: 1_000_000_000, magic: b"ustar\x0000" }
}

impl Head {
    pub fn to(mut self, link: impl AsRef<[u8]>) -> Self {
        self.link = link.as_ref().to_vec();
        self
    }

    pub fn block(&self) -> [u8; 512] {
        let mut block = [0; 512];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &self.name);
        put(100, format!("{:07o}", self.mode).as_bytes());
        match self.size {
            0..=0o777_7777_7777 => put(124, format!("{:011o}", self.size).as_bytes()),
            _ => put(124, &[&[0x80, 0, 0, 0], &self.size.to_be_bytes()[..]].concat()),
        }
        put(136, format!("{:011o}", self.mtime).as_bytes());
        put(156, &[self.kind]);
        put(157, &self.link);
        put(257, self.magic);
        seal(&mut block);
        block
    }
}

pub fn seal(block: &mut [u8; 512]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
}

impl Archive {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn head(mut self, head: Head) -> Self {
        self.0.extend_from_slice(&head.block());
        self
    }

    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub fn content(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub fn with(self, mut head: Head, content: &[u8]) -> Self {
        head.size = content.len() as u64;
        self.head(head).content(content)
    }

    pub fn file(self, name: impl AsRef<[u8]>, content: &[u8]) -> Self {
        self.with(head(b'0', name), content)
    }

    pub fn dir(self, name: impl AsRef<[u8]>) -> Self {
        self.head(head(b'5', name))
    }

    pub fn link(self, name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.head(head(b'2', name).to(target))
    }

    pub fn hard(self, name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.head(head(b'1', name).to(target))
    }

    pub fn pax(self, records: &[(&str, &[u8])]) -> Self {
        self.extended(b'x', records)
    }

    pub fn extended(self, kind: u8, records: &[(&str, &[u8])]) -> Self {
        let mut all = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let length = (rest..).find(|length| rest + length.to_string().len() == *length).unwrap();
            all.extend_from_slice(format!("{length} {key}=").as_bytes());
            all.extend_from_slice(value);
            all.push(b'\n');
        }
        self.with(head(kind, "pax"), &all)
    }

    pub fn end(self) -> Vec<u8> {
        self.raw(&[0; 1024]).0
    }
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

pub fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut out = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::new(1));
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

pub fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut out = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut out = zstd::Encoder::new(Vec::new(), 3).unwrap();
    out.include_checksum(true).unwrap();
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

pub type Compress = fn(&[u8]) -> Vec<u8>;

pub const COMPRESSIONS: [(&str, Compress); 4] = [("gzip", gzip), ("bzip2", bzip2), ("xz", xz), ("zstd", zstd)];

pub fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut all = b"!<arch>\n".to_vec();
    for (name, content) in members {
        all.extend_from_slice(format!("{name:<16}0           0     0     100644  {:<10}`\n", content.len()).as_bytes());
        all.extend_from_slice(content);
        all.extend(std::iter::repeat_n(b'\n', content.len() % 2));
    }
    all
}

pub fn deb(data: &[u8]) -> Vec<u8> {
    ar(&[("debian-binary", b"2.0\n"), ("control.tar.xz", b"odd"), ("data.tar.xz", data)])
}
