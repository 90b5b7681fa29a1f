//! `parton diff` as it is typed.

use crate::common::Env;
use std::process::Command;

fn pair() -> Env {
    let env = Env::with_own_store();
    env.write("a/f.txt", "one\n");
    env.write("b/f.txt", "two\n");
    env.write("a/same", "same");
    env.write("b/same", "same");
    env.write("a/d/x", "only here");
    env
}

#[test]
fn directories_and_files_are_compared() {
    let env = pair();
    let run = env.run(&["diff", "a", "b"]).code(3);
    assert_eq!(
        run.stdout,
        "d: directory only in the first\nd/x: file only in the first\nf.txt\n  line 1: 'one' → 'two'\n3 differences\n"
    );
    assert_eq!(run.stderr, "");
    assert_eq!(
        env.run(&["diff", "a/f.txt", "b/f.txt"]).code(3).stdout,
        "f.txt\n  line 1: 'one' → 'two'\n1 difference\n"
    );
    assert_eq!(env.run(&["diff", "a", "a"]).ok().stdout, "no differences\n");
    assert_eq!(env.run(&["diff", "a", "b/same"]).code(3).stdout, "a: directory → file\n1 difference\n");
}

#[test]
fn what_can_not_be_compared_is_named() {
    let env = pair();
    let run = env.run(&["diff", "a", "nowhere"]).code(2);
    assert_eq!(
        run.stderr,
        "error: 'nowhere' is neither a file or directory, nor the digest of a tree in the store, nor a package of this workspace\n"
    );
    let run = env.run(&["diff", "a/same", "/dev/null"]).code(2);
    assert_eq!(run.stderr, "error: /dev/null: neither a regular file nor a directory\n");
    let digest = "0".repeat(64);
    let run = env.run(&["diff", "a", &digest]);
    assert!(run.code == Some(1) && run.stderr.contains(&digest), "{run:?}");
    assert!(Command::new("mkfifo").arg(env.path().join("a/fifo")).status().unwrap().success());
    let run = env.run(&["diff", "a", "b"]).code(1);
    assert_eq!(run.stderr, "error: fifo: a fifo can not be part of a tree\n");
}

#[test]
fn a_tree_of_the_store_is_named_by_its_digest() {
    use parton::store::Store;
    let env = pair();
    env.run(&["diff", "a", "a"]).ok();
    let store = Store::open(env.store(), &mut |_| true).unwrap();
    let digest = crate::store::try_put_tree(&store, &[("f.txt", "stored\n")]).unwrap().to_string();
    drop(store);
    let run = env.run(&["diff", &digest, "b"]).code(3);
    assert!(run.stdout.contains("line 1: 'stored' → 'two'"), "{}", run.stdout);
}

#[test]
fn json_names_its_schema() {
    let env = pair();
    let json = env.run(&["diff", "a", "b", "--json"]).code(3).json();
    assert_eq!((&json["schema"], &json["equal"], &json["a"]), (&"parton.diff/1".into(), &false.into(), &"a".into()));
    assert_eq!(
        json["differences"][2],
        serde_json::json!({
            "path": "f.txt", "what": "content", "notes": [], "size": { "a": 4, "b": 4 }, "first_offset": 0,
            "differing": 3, "more": false,
            "places": [{ "place": "text-line", "line": 1, "line_b": 1, "a": "one", "b": "two" }],
        })
    );
    assert_eq!(env.run(&["diff", "a", "a", "--json"]).ok().json()["equal"], true);
}

/// The page says what hostile names and contents say, and does nothing that they say.
#[test]
fn the_page_is_one_file_and_inert() {
    let env = pair();
    let evil = "<script>alert('x')</script><img src=x onerror=\"y\">&amp;";
    env.write("a/evil", format!("{evil}\n1\n"));
    env.write("b/evil", "2\n");
    env.write("a/<b>name", "1");
    let run = env.run(&["diff", "a", "b", "--html", "page.html"]).code(3);
    assert!(run.stderr.contains("Wrote page.html"), "{}", run.stderr);
    let page = std::fs::read_to_string(env.path().join("page.html")).unwrap();
    for bad in ["<script", "<img", "<b>name", "src=x onerror=\"", "http://", "https://", "url(", "@import", "<link"] {
        assert!(!page.contains(bad), "{bad}");
    }
    let text = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;";
    assert!(page.contains(text) && page.contains("&lt;b&gt;name"), "{page}");
    assert!(page.contains("prefers-color-scheme: dark") && page.contains("default-src 'none'"));
    // Every element that is opened is closed.
    for element in ["details", "ul", "li", "div", "summary", "main", "code", "mark"] {
        let (open, close) = (format!("<{element}"), format!("</{element}>"));
        assert_eq!(page.matches(&open).count(), page.matches(&close).count(), "{element}");
    }
    let json = env.run(&["diff", "a", "b", "--html", "missing/page.html"]).code(1);
    assert!(json.stderr.contains("missing/page.html"), "{}", json.stderr);
}
