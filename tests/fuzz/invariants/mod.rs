//! What parton promises about any bytes, as functions that panic when a promise is broken.
//!
//! They exist once and are called twice: by the fuzz targets (`tests/fuzz/targets`), and by the ordinary tests
//! (`tests/it/corpus.rs`) over the files in `tests/fuzz/corpus` and the generated archives of `tests/it/zoo.rs`.

pub mod apt;
pub mod compare;
pub mod compressed;
pub mod deb;
pub mod elf;
pub mod openpgp;
pub mod path;
pub mod place;
pub mod record;
pub mod spec;
pub mod tar;
