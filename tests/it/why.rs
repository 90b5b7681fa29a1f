//! Why rounds differ: the search in worlds made here, and `parton why` on packages that leak.

#[path = "why/search.rs"]
mod search;
