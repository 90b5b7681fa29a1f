//! `parton graph`

use super::super::args::{Global, Graph, GraphFormat};
use super::super::context::Context;
use super::super::error::Failure;
use super::super::shell::Shell;
use crate::ops;
use crate::report::graph;

pub fn run(global: &Global, args: &Graph, shell: &Shell) -> Result<(), Failure> {
    let context = Context::open(global, shell)?;
    context.with(|session| {
        let nodes = ops::graph(session, &args.packages)?;
        if global.json {
            return super::json(shell, "parton.graph/1", &nodes);
        }
        shell.out(&match args.format {
            GraphFormat::Text => graph::text(&nodes),
            GraphFormat::Dot => graph::dot(&nodes),
            GraphFormat::Mermaid => graph::mermaid(&nodes),
        })?;
        Ok(())
    })
}
