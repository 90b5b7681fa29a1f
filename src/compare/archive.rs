//! Archives, member by member: names, order, what headers say, contents, and what belongs to no member.

use super::bytes::View;
use super::content::{Scope, compared};
use super::{Change, Field, Format, Place, Side, Sides, Unit, packed};
use crate::base::printable;
use crate::tree::index::{self, Archive, Fact, Index, Member, Packing};
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

/// Longer headers are compared as bytes.
const HEADER: usize = 1 << 20;
/// The archive's own directory or end mark is read up to here.
const FRAME: usize = 1 << 16;

/// A member's name, and how many of this name were before it.
type Key<'i> = (&'i [u8], u64);

/// Where two archives differ; empty where they are not sound.
pub(super) fn places(archive: Archive, a: View<'_>, b: View<'_>, scope: Scope<'_>) -> io::Result<Vec<Place>> {
    let format = Format::from(archive);
    let (left, right) = (index::index(archive, &a)?, index::index(archive, &b)?);
    if left.members.is_empty() && left.end == 0 || right.members.is_empty() && right.end == 0 {
        return Ok(Vec::new());
    }
    let (in_a, in_b) = (keyed(&left), keyed(&right));
    let mut found = Finding {
        archive,
        format,
        a,
        b,
        scope,
        places: Vec::new(),
        following: Vec::new(),
        to_read: 2 * (a.len() + b.len()) + 1,
    };
    found.order(&in_a, &in_b);
    // Tables of symbols and names change as a consequence of the members; they are told last.
    let table = |key: &Key<'_>| archive == Archive::Ar && matches!(key.0, b"/" | b"//" | b"/SYM64/");
    let at: BTreeMap<&Key<'_>, &Member> = in_b.iter().map(|(key, member)| (key, *member)).collect();
    let first = in_a.iter().filter(|(key, _)| !table(key));
    for (key, member) in first.chain(in_a.iter().filter(|(key, _)| table(key))) {
        if scope.enough(&found.places) || found.to_read == 0 {
            return Ok(found.places);
        }
        match at.get(key) {
            Some(other) => found.member(key, member, other)?,
            None => found.only_in(key, Side::A),
        }
    }
    let at: BTreeMap<&Key<'_>, &Member> = in_a.iter().map(|(key, member)| (key, *member)).collect();
    for (key, _) in in_b.iter().filter(|(key, _)| !at.contains_key(key)) {
        if scope.enough(&found.places) {
            return Ok(found.places);
        }
        found.only_in(key, Side::B);
    }
    found.frame(&left, &right)?;
    found.rest(&left, &right)?;
    if left.cut || right.cut {
        let why = format!("members behind the first {} were not looked at", index::MEMBERS);
        found.places.push(Place::Unseen { why: why.into() });
    }
    Ok(if found.places.is_empty() { found.following } else { found.places })
}

fn keyed(index: &Index) -> Vec<(Key<'_>, &Member)> {
    let mut seen: BTreeMap<&[u8], u64> = BTreeMap::new();
    index
        .members
        .iter()
        .map(|member| {
            let count = seen.entry(&member.name).or_default();
            let key = (&member.name[..], *count);
            *count += 1;
            (key, member)
        })
        .collect()
}

struct Finding<'v, 'l> {
    archive: Archive,
    format: Format,
    a: View<'v>,
    b: View<'v>,
    scope: Scope<'l>,
    places: Vec<Place>,
    /// What differs only because something else does, as long as nothing else is found.
    following: Vec<Place>,
    /// How many bytes of members are still read.
    to_read: u64,
}

impl Finding<'_, '_> {
    fn order(&mut self, in_a: &[(Key<'_>, &Member)], in_b: &[(Key<'_>, &Member)]) {
        let positions = |list: &[(Key<'_>, &Member)]| -> BTreeMap<(Vec<u8>, u64), u64> {
            list.iter().enumerate().map(|(at, (key, _))| ((key.0.to_vec(), key.1), at as u64)).collect()
        };
        let (a, b) = (positions(in_a), positions(in_b));
        let owned = |key: &Key<'_>| (key.0.to_vec(), key.1);
        let mut common = in_a.iter().filter(|(key, _)| b.contains_key(&owned(key)));
        let mut also = in_b.iter().filter(|(key, _)| a.contains_key(&owned(key)));
        let moved = std::iter::from_fn(|| common.next().zip(also.next())).find(|(left, right)| left.0 != right.0);
        if let Some(((key, _), _)) = moved {
            let position = Sides { a: a[&owned(key)], b: b[&owned(key)] };
            self.places.push(Place::Order { format: self.format, name: shown(key), position });
        }
    }

    fn only_in(&mut self, key: &Key<'_>, side: Side) {
        self.places.push(Place::only_in(self.format, Unit::Member, shown(key), side));
    }

    fn member(&mut self, key: &Key<'_>, left: &Member, right: &Member) -> io::Result<()> {
        let name = shown(key);
        self.facts(&name, left, right)?;
        let (a, b) = (self.a.range(&left.content), self.b.range(&right.content));
        // Members of a hostile zip archive may all be the same bytes; those of a real one do not overlap.
        self.to_read = self.to_read.saturating_sub(a.len().max(b.len()));
        if self.to_read == 0 && a.len().max(b.len()) > 0 {
            let why = format!("member {name} and those behind it were not looked at: they overlap");
            self.places.push(Place::Unseen { why: why.into() });
            return Ok(());
        }
        let content = if left.packing == right.packing && left.packing != Packing::Stored {
            packed::member(left.packing, a, b, self.scope)?
        } else if left.packing != right.packing {
            // Said by the header; what they hold may be the same.
            packed::unlike((left.packing, a), (right.packing, b), self.scope)?
        } else {
            compared(a, b, self.scope.deeper())?
        };
        if let Some((offset, found)) = content {
            let change = Change::Content { offset, places: found.places, more: found.more };
            self.places.push(Place::part(self.format, Unit::Member, name.clone(), change));
        }
        let (a, b) = (self.a.range(&left.tail).bytes(0, 512)?, self.b.range(&right.tail).bytes(0, 512)?);
        if a != b {
            let at = a.iter().zip(&b).position(|(x, y)| x != y).unwrap_or(a.len().min(b.len()));
            let place = Place::value(self.format, Unit::Member, name, "padding", hex(&a[at..]), hex(&b[at..]));
            // Behind a member of a zip archive lie its sizes and checksum again.
            let follows = self.archive == Archive::Zip || a.len() != b.len();
            if follows { &mut self.following } else { &mut self.places }.push(place);
        }
        Ok(())
    }

    /// What the headers of a member say.
    fn facts(&mut self, name: &str, left: &Member, right: &Member) -> io::Result<()> {
        let heads = |view: View<'_>, member: &Member| -> io::Result<Vec<Vec<u8>>> {
            member.heads.iter().map(|range| view.range(range).bytes(0, HEADER)).collect()
        };
        let (a, b) = (heads(self.a, left)?, heads(self.b, right)?);
        if a == b {
            return Ok(());
        }
        let before = (self.places.len(), self.following.len());
        for (fact, values) in differing(index::facts(self.archive, &a), index::facts(self.archive, &b)) {
            let change = Change::Field(Field { field: fact.field, values });
            let place = Place::part(self.format, Unit::Member, name, change);
            if fact.follows { &mut self.following } else { &mut self.places }.push(place);
        }
        if before == (self.places.len(), self.following.len()) {
            let show = |heads: &[Vec<u8>], at: usize| hex(&heads.concat()[at..]);
            let (x, y) = (a.concat(), b.concat());
            let at = x.iter().zip(&y).position(|(x, y)| x != y).unwrap_or(x.len().min(y.len()));
            let field = format!("header byte {at}");
            self.places.push(Place::value(self.format, Unit::Member, name, field, show(&a, at), show(&b, at)));
        }
        self.following.truncate(self.scope.limits.places);
        Ok(())
    }

    /// What the archive says of itself.
    fn frame(&mut self, left: &Index, right: &Index) -> io::Result<()> {
        let (a, b) = (self.a.range(&left.frame), self.b.range(&right.frame));
        let (x, y) = (a.bytes(0, FRAME)?, b.bytes(0, FRAME)?);
        if x == y {
            return Ok(());
        }
        let facts = differing(index::frame_facts(self.archive, &x), index::frame_facts(self.archive, &y));
        let mut told = false;
        for (fact, values) in facts {
            told = true;
            let place = Place::Header { format: self.format, field: Field { field: fact.field, values } };
            if fact.follows { &mut self.following } else { &mut self.places }.push(place);
        }
        if !told {
            self.piece(Unit::Frame, "end of the archive", (&left.frame, &right.frame))?;
        }
        Ok(())
    }

    /// What lies behind the archive, and between what was looked at.
    fn rest(&mut self, left: &Index, right: &Index) -> io::Result<()> {
        let behind =
            |view: View<'_>, index: &Index| -> io::Result<Range<u64>> { Ok(zeros(view, index.end)?..view.len()) };
        let (a, b) = (behind(self.a, left)?, behind(self.b, right)?);
        self.piece(Unit::Rest, "behind the archive", (&a, &b))?;
        // How many zeros there are says something only when nothing else does.
        if (a.start - left.end, a.is_empty()) != (b.start - right.end, b.is_empty()) {
            let count = |range: &Range<u64>, index: &Index| (range.start - index.end).to_string();
            let (a, b) = (count(&a, left), count(&b, right));
            self.following.push(Place::header(self.format, "zeros behind the archive", a, b));
        }
        let (a, b) = (gaps(left), gaps(right));
        if a.is_empty() && b.is_empty() {
            return Ok(());
        }
        for at in 0..a.len().max(b.len()) {
            if self.scope.enough(&self.places) {
                break;
            }
            let range = |gaps: &[Range<u64>]| gaps.get(at).cloned().unwrap_or(0..0);
            self.piece(Unit::Rest, "between members", (&range(&a), &range(&b)))?;
        }
        Ok(())
    }

    fn piece(&mut self, unit: Unit, name: &str, (a, b): (&Range<u64>, &Range<u64>)) -> io::Result<()> {
        if let Some((offset, found)) = compared(self.a.range(a), self.b.range(b), self.scope.deeper())? {
            let change = Change::Content { offset, places: found.places, more: found.more };
            self.places.push(Place::part(self.format, unit, name, change));
        }
        Ok(())
    }
}

/// Facts that are not the same, by field; those of equal name in their order.
fn differing(a: Vec<Fact>, b: Vec<Fact>) -> Vec<(Fact, Sides<String>)> {
    if a.is_empty() || b.is_empty() {
        return Vec::new();
    }
    let none = || "(none)".to_owned();
    let mut others: BTreeMap<String, std::collections::VecDeque<Fact>> = BTreeMap::new();
    for fact in b {
        others.entry(fact.field.to_string()).or_default().push_back(fact);
    }
    let mut found = Vec::new();
    for fact in a {
        let other = others.get_mut(&*fact.field).and_then(|list| list.pop_front());
        let value = other.map_or_else(none, |other| other.value);
        if fact.value != value {
            let values = Sides { a: fact.value.clone(), b: value };
            found.push((fact, values));
        }
    }
    for fact in others.into_values().flatten() {
        let values = Sides { a: none(), b: fact.value.clone() };
        found.push((fact, values));
    }
    found
}

/// Where the zeros end that begin here.
fn zeros(view: View<'_>, mut at: u64) -> io::Result<u64> {
    loop {
        let chunk = view.bytes(at, 64 << 10)?;
        match chunk.iter().position(|byte| *byte != 0) {
            Some(found) => return Ok(at + found as u64),
            None if chunk.is_empty() => return Ok(at),
            None => at += chunk.len() as u64,
        }
    }
}

/// What lies between members, headers and frame. Only zip archives can have anything there.
fn gaps(index: &Index) -> Vec<Range<u64>> {
    let parts = index.members.iter().flat_map(|member| member.heads.iter().chain([&member.content, &member.tail]));
    let mut parts: Vec<&Range<u64>> = parts.chain([&index.frame]).filter(|range| !range.is_empty()).collect();
    parts.sort_by_key(|range| range.start);
    let mut end = if index.frame.is_empty() { parts.first().map_or(0, |range| range.start) } else { 0 };
    let mut gaps = Vec::new();
    for range in parts {
        if range.start > end {
            gaps.push(end..range.start);
        }
        end = end.max(range.end);
    }
    gaps
}

fn shown(key: &Key<'_>) -> String {
    printable(key.0)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
