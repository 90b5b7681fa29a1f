//! Why rounds differ: the search in worlds made here, `parton why` on packages that leak, and the planted corpus.

#[path = "why/command.rs"]
mod command;
#[path = "why/corpus.rs"]
mod corpus;
#[path = "why/search.rs"]
mod search;
