//! Who needs whom, drawn.

use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// The packages of a graph, in build order.
#[derive(Debug, Clone, Serialize)]
pub struct Graph {
    /// The packages.
    pub packages: Vec<GraphNode>,
}

/// One package.
#[derive(Debug, Clone, Serialize)]
pub struct GraphNode {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Whether it was asked for, rather than needed by something that was.
    pub wanted: bool,
    /// Packages that run during its build.
    pub build: Vec<String>,
    /// Packages it is linked against.
    pub host: Vec<String>,
    /// Packages it needs at run time only.
    pub run: Vec<String>,
}

impl GraphNode {
    /// What it needs, each with the kind of need.
    fn needs(&self) -> impl Iterator<Item = (&str, &'static str)> {
        let kinds = [(&self.host, ""), (&self.build, "build"), (&self.run, "run")];
        kinds.into_iter().flat_map(|(list, kind)| list.iter().map(move |name| (name.as_str(), kind)))
    }
}

/// An indented tree below each wanted package; what was shown before is named and marked, not repeated.
pub fn text(graph: &Graph) -> String {
    let mut out = String::new();
    let mut seen = BTreeSet::new();
    let needed: BTreeSet<&str> = graph.packages.iter().flat_map(|p| p.needs().map(|(name, _)| name)).collect();
    for package in graph.packages.iter().filter(|p| p.wanted && !needed.contains(p.name.as_str())) {
        branch(graph, package, "", "", &mut seen, &mut out);
    }
    out
}

fn branch<'a>(
    graph: &'a Graph,
    package: &'a GraphNode,
    lead: &str,
    kind: &str,
    seen: &mut BTreeSet<&'a str>,
    out: &mut String,
) {
    let fresh = seen.insert(&package.name);
    let needs: Vec<(&str, &str)> = package.needs().collect();
    let again = if fresh || needs.is_empty() { "" } else { " …" };
    let kind = if kind.is_empty() { String::new() } else { format!(" ({kind})") };
    let _ = writeln!(out, "{} {}{kind}{again}", package.name, package.version);
    if !fresh {
        return;
    }
    for (n, (name, kind)) in needs.iter().enumerate() {
        let last = n + 1 == needs.len();
        let Some(next) = graph.packages.iter().find(|p| p.name == *name) else { continue };
        let _ = write!(out, "{lead}{}", if last { "└── " } else { "├── " });
        branch(graph, next, &format!("{lead}{}", if last { "    " } else { "│   " }), kind, seen, out);
    }
}

/// Graphviz: solid arrows to what is linked against, dashed to what runs during the build, dotted to what is needed at
/// run time.
pub fn dot(graph: &Graph) -> String {
    let mut out = String::from("digraph parton {\n  rankdir = LR;\n  node [shape = box, fontname = \"sans-serif\"];\n");
    for package in &graph.packages {
        let _ = writeln!(out, "  \"{}\" [label = \"{}\\n{}\"];", package.name, package.name, package.version);
        for (name, kind) in package.needs() {
            let style = match kind {
                "build" => " [style = dashed]",
                "run" => " [style = dotted]",
                _ => "",
            };
            let _ = writeln!(out, "  \"{}\" -> \"{name}\"{style};", package.name);
        }
    }
    out.push_str("}\n");
    out
}

/// Mermaid, as forges render it in Markdown.
pub fn mermaid(graph: &Graph) -> String {
    let mut out = String::from("graph LR\n");
    for (n, package) in graph.packages.iter().enumerate() {
        let _ = writeln!(out, "  p{n}[\"{} {}\"]", package.name, package.version);
        for (name, kind) in package.needs() {
            let Some(other) = graph.packages.iter().position(|p| p.name == name) else { continue };
            let arrow = match kind {
                "build" => "-. build .->",
                "run" => "-. run .->",
                _ => "-->",
            };
            let _ = writeln!(out, "  p{n} {arrow} p{other}");
        }
    }
    out
}
