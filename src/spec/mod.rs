//! TOML → [`Spec`]: form only, no meaning.
//!
//! [`load`] reads a whole workspace and reports every mistake of every file at once, each with its place and what to do
//! about it. Whether a needed package exists, what a helper makes of its flags and how things hash is for
//! [`crate::plan`] to say.

mod guess;
mod keys;
mod license;
mod license_text;
mod package;
mod read;
mod release;
mod rules;
mod source;
mod types;
mod values;
mod workspace;
mod write;

pub use guess::{Guess, guess};
pub use keys::{Key, Kind, SPEC, Table, WORKSPACE};
pub use license_text::LicenseGuess;
pub use release::{ReleaseName, release_name};
pub use rules::{RULES, Rule};
pub use types::*;
pub use workspace::{LoadError, load, load_config, read_spec};
pub use write::{NewSignature, NewSpec, new_spec};
