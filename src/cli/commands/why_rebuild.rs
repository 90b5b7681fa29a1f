//! `parton why-rebuild`

use super::super::args::{Global, Package};
use super::super::context::Context;
use super::super::error::Failure;
use super::super::shell::Shell;
use crate::ops::{self, WhyRebuild};

pub fn run(global: &Global, args: &Package, shell: &Shell) -> Result<(), Failure> {
    let context = Context::open(global, shell)?;
    context.with(|session| {
        let why = ops::why_rebuild(session, &args.package)?;
        if global.json {
            return super::json(shell, "parton.why-rebuild/1", &why);
        }
        let name = &args.package;
        let text = match why {
            WhyRebuild::Known { id } => format!("{name} would not be built again: {} is known\n", id.short()),
            WhyRebuild::Never => format!("{name} was never built\n"),
            WhyRebuild::Waits { inputs } => {
                format!("{name} waits for what it needs, which is not known itself: {}\n", inputs.join(", "))
            }
            WhyRebuild::Changed { changes, .. } if changes.is_empty() => {
                format!("{name} would be built again: its result is gone from the store, or parton's jail changed\n")
            }
            WhyRebuild::Changed { changes, .. } => {
                let mut text = format!("{name} would be built again, because of\n");
                for change in changes {
                    let (before, after) = (change.before, change.after);
                    let cut = |value: Option<String>| value.map(|v| v.chars().take(200).collect::<String>());
                    text.push_str(&match (cut(before), cut(after)) {
                        (Some(before), Some(after)) => format!("  {}\n    - {before}\n    + {after}\n", change.what),
                        (None, Some(after)) => format!("  {}, new\n    + {after}\n", change.what),
                        (before, None) => format!("  {}, gone\n    - {}\n", change.what, before.unwrap_or_default()),
                    });
                }
                text
            }
        };
        shell.out(&text)?;
        Ok(())
    })
}
