use super::*;

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
