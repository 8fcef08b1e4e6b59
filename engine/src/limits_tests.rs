use super::*;

fn check(json: &str) -> Result<(), Excess> {
    let raw: &RawValue = serde_json::from_str(json).unwrap();
    check_record(raw)
}

fn nested(levels: usize) -> String {
    format!("{}1{}", "[".repeat(levels), "]".repeat(levels))
}

#[test]
fn an_ordinary_record_is_within_the_limits() {
    assert_eq!(check(r#"{"id":1,"a":[1.5,-2,1e10,"x\"[[[\\"],"b":{"c":null,"d":true}}"#), Ok(()));
    assert_eq!(check(&nested(RECORD_DEPTH)), Ok(()));
}

#[test]
fn each_excess_is_named() {
    assert_eq!(check(&nested(RECORD_DEPTH + 1)), Err(Excess::Depth));
    // Readers of JSON that recurse give up, or overflow, at 127.
    assert_eq!(check(&nested(10_000)), Err(Excess::Depth));
    assert_eq!(check(&format!("[{}0]", "0,".repeat(RECORD_VALUES))), Err(Excess::Values));
    assert_eq!(check(&format!("\"{}\"", "x".repeat(RECORD_BYTES))), Err(Excess::Bytes));
    assert_eq!(check("[1e131000]"), Err(Excess::Number));
    assert_eq!(check("[1E-99999999999999999999]"), Err(Excess::Number));
    assert_eq!(check(&"9".repeat(NUMBER_CHARS + 1)), Err(Excess::Number));
    assert_eq!(check("[1.7976931348623157e308, -5e-324]"), Ok(()));
}

#[test]
fn brackets_and_digits_in_texts_do_not_count() {
    let text = "[".repeat(1000) + &"9".repeat(1000) + "\\\\\\\"" + &",".repeat(RECORD_VALUES);
    assert_eq!(check(&format!("{{\"a\":\"{text}\"}}")), Ok(()));
}

#[test]
fn of_a_long_list_only_so_many_elements_are_kept() {
    let few: Few<'_> = serde_json::from_str("[{},1,[2]]").unwrap();
    assert_eq!((few.items.len(), few.more), (3, false));
    let long = format!("[{}{{}}]", "{},".repeat(LIST_ELEMENTS - 1));
    let few: Few<'_> = serde_json::from_str(&long).unwrap();
    assert_eq!((few.items.len(), few.more), (LIST_ELEMENTS, false));
    let long = format!("[{}{{}}]", "{},".repeat(1_000_000));
    let few: Few<'_> = serde_json::from_str(&long).unwrap();
    assert_eq!((few.items.len(), few.more), (LIST_ELEMENTS, true));
}

#[test]
fn a_walk_ends_when_its_pages_bring_nothing_new() {
    let mut guard = WalkGuard::default();
    guard.page(100, true).unwrap();
    let error = (0..STALE_PAGES).find_map(|_| guard.page(100, false).err()).unwrap();
    assert_eq!(error.code, "no_progress");
    let mut guard = WalkGuard::default();
    let error = (0..EMPTY_PAGES).find_map(|_| guard.page(0, false).err()).unwrap();
    assert_eq!(error.code, "no_progress");
}

#[test]
fn a_walk_that_always_brings_something_new_ends_at_its_bound() {
    let mut guard = WalkGuard::up_to(3);
    (0..3).for_each(|_| guard.page(1, true).unwrap());
    assert_eq!(guard.page(1, true).unwrap_err().code, "endless_list");
}
