//! Which parts of two sequences are not the same: the shortest script of edits, as long as it can be had cheaply.

use std::ops::Range;

/// Longer scripts are not searched for: the memory is the square of this, in words of four bytes.
const EDITS: usize = 1500;
/// Nor is longer searched than this, in elements compared.
const WORK: usize = 30 << 20;

/// What was replaced by what, ascending. Where too much differs for the shortest script, the middle that differs is one piece.
pub(super) fn changed<T: PartialEq>(a: &[T], b: &[T]) -> Vec<(Range<usize>, Range<usize>)> {
    let front = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let (x, y) = (&a[front..], &b[front..]);
    let back = x.iter().rev().zip(y.iter().rev()).take_while(|(x, y)| x == y).count();
    let (x, y) = (&x[..x.len() - back], &y[..y.len() - back]);
    if x.is_empty() && y.is_empty() {
        return Vec::new();
    }
    let moved = |(p, q): (Range<usize>, Range<usize>)| (p.start + front..p.end + front, q.start + front..q.end + front);
    match shortest(x, y) {
        Some(matches) => between(&matches, x.len(), y.len()).into_iter().map(moved).collect(),
        // Where as many elements were replaced as there were, they are most likely the same ones changed.
        None if x.len() == y.len() => {
            let differ = (0..x.len()).filter(|at| x[*at] != y[*at]).map(|at| (at..at + 1, at..at + 1));
            differ.map(moved).collect()
        }
        None => vec![moved((0..x.len(), 0..y.len()))],
    }
}

/// The pieces between matching stretches (start in a, start in b, length).
fn between(matches: &[(usize, usize, usize)], a: usize, b: usize) -> Vec<(Range<usize>, Range<usize>)> {
    let mut pieces = Vec::new();
    let (mut x, mut y) = (0, 0);
    for (p, q, length) in matches.iter().copied().chain([(a, b, 0)]) {
        if p > x || q > y {
            pieces.push((x..p, y..q));
        }
        (x, y) = (p + length, q + length);
    }
    pieces
}

/// Myers' greedy search, with the furthest points of every step kept to find the way back.
fn shortest<T: PartialEq>(a: &[T], b: &[T]) -> Option<Vec<(usize, usize, usize)>> {
    if a.is_empty() || b.is_empty() {
        return Some(Vec::new());
    }
    let most = EDITS.min(a.len() + b.len());
    // Diagonals -most..=most; what is further than i32 is not searched.
    i32::try_from(a.len().max(b.len())).ok()?;
    let mut furthest = vec![0_i32; 2 * most + 2];
    let mut steps: Vec<Vec<i32>> = Vec::new();
    let mut work = 0;
    for d in 0..=most {
        let (low, high) = (most - d, most + d);
        for k in (low..=high).step_by(2) {
            let down = k == low || (k != high && furthest[k - 1] < furthest[k + 1]);
            let mut x = if d == 0 {
                0
            } else if down {
                furthest[k + 1]
            } else {
                furthest[k - 1] + 1
            } as usize;
            // y = x - (k - most)
            let Some(mut y) = (x + most).checked_sub(k) else { continue };
            if x > a.len() || y > b.len() {
                furthest[k] = x as i32;
                continue;
            }
            let from = x;
            while x < a.len() && y < b.len() && a[x] == b[y] {
                (x, y) = (x + 1, y + 1);
            }
            work += x - from + 1;
            furthest[k] = x as i32;
            if x == a.len() && y == b.len() {
                return Some(way(&steps, a.len(), b.len(), most));
            }
        }
        if work > WORK {
            return None;
        }
        // Only the diagonals that this step reached can matter.
        steps.push(furthest[low..=high].to_vec());
    }
    None
}

/// Back from the end to the beginning: the matching stretches, ascending.
fn way(steps: &[Vec<i32>], a: usize, b: usize, most: usize) -> Vec<(usize, usize, usize)> {
    let mut matches = Vec::new();
    let (mut x, mut y) = (a, b);
    for d in (0..=steps.len()).rev() {
        if d == 0 {
            if x > 0 {
                matches.push((0, 0, x));
            }
            break;
        }
        let k = most + x - y;
        let before = &steps[d - 1];
        let low = most - (d - 1);
        let at = |k: usize| k.checked_sub(low).and_then(|at| before.get(at)).copied();
        let (down, up) = (at(k + 1), k.checked_sub(1).and_then(at));
        // The same choice as on the way there.
        let went_down = k == most - d || (k != most + d && up.unwrap_or(-1) < down.unwrap_or(-1));
        let (px, start) = match (went_down, down, up) {
            (true, Some(px), _) => (px as usize, px as usize),
            (_, _, Some(px)) => (px as usize, px as usize + 1),
            (_, Some(px), None) => (px as usize, px as usize),
            (_, None, None) => break,
        };
        let py = if went_down { px + most - (k + 1) } else { px + most - (k - 1) };
        if x > start {
            matches.push((start, start + most - k, x - start));
        }
        (x, y) = (px, py);
    }
    matches.reverse();
    matches
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(a: &str, b: &str) -> Vec<(Range<usize>, Range<usize>)> {
        changed(a.as_bytes(), b.as_bytes())
    }

    #[test]
    fn small_edits() {
        assert_eq!(of("abc", "abc"), []);
        assert_eq!(of("abc", "axc"), [(1..2, 1..2)]);
        assert_eq!(of("abc", "abxc"), [(2..2, 2..3)]);
        assert_eq!(of("", "ab"), [(0..0, 0..2)]);
        assert_eq!(of("abcdef", "xbcdyf"), [(0..1, 0..1), (4..5, 4..5)]);
        assert_eq!(of("aXbYc", "abc"), [(1..2, 1..1), (3..4, 2..2)]);
    }

    #[test]
    fn too_much_is_one_piece_or_told_one_by_one() {
        let a: Vec<u32> = (0..10_000).collect();
        let b: Vec<u32> = (20_000..31_000).collect();
        assert_eq!(changed(&a, &b), [(0..10_000, 0..11_000)]);
        let every_other: Vec<u32> = a.iter().map(|n| if n % 2 == 0 { *n } else { n + 50_000 }).collect();
        assert_eq!(changed(&a, &every_other).len(), 5000);
    }

    /// The length of the longest common subsequence, the obvious way.
    fn longest(a: &[u8], b: &[u8]) -> usize {
        let mut row = vec![0; b.len() + 1];
        for x in a {
            let mut before = 0;
            for (at, y) in b.iter().enumerate() {
                let old = row[at + 1];
                row[at + 1] = if x == y { before + 1 } else { row[at + 1].max(row[at]) };
                before = old;
            }
        }
        row[b.len()]
    }

    proptest! {
        #[test]
        fn scripts_are_right_and_shortest(
            a in prop::collection::vec(0_u8..4, 0..40),
            b in prop::collection::vec(0_u8..4, 0..40),
        ) {
            let pieces = changed(&a, &b);
            let (mut made, mut at, mut kept) = (Vec::new(), 0, 0);
            for (x, y) in &pieces {
                made.extend_from_slice(&a[at..x.start]);
                kept += x.start - at;
                made.extend_from_slice(&b[y.clone()]);
                at = x.end;
            }
            made.extend_from_slice(&a[at..]);
            kept += a.len() - at;
            prop_assert_eq!(&made, &b);
            prop_assert_eq!(kept, longest(&a, &b));
        }
    }
}
