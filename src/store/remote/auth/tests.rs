use std::sync::atomic::AtomicUsize;

use futures::future::join_all;
use tokio::time::{advance, sleep};

use super::*;
use crate::store::StoreErrorKind;

fn granted(text: &'static str, seconds: u64) -> Granted {
    Granted { header: HeaderValue::from_static(text), lasts: Some(Duration::from_secs(seconds)) }
}

#[tokio::test(start_paused = true)]
async fn one_token_is_fetched_for_all_until_it_ends() {
    let (auth, fetched) = (Auth::default(), AtomicUsize::new(0));
    let fetch = async || {
        fetched.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_millis(10)).await;
        Ok(granted("Bearer a", 54))
    };
    let all = join_all((0..16).map(|_| auth.token("a", Access::Pull, None, fetch))).await;
    assert_eq!(fetched.load(Ordering::Relaxed), 1);
    let first = all.first().unwrap().as_ref().unwrap().clone();
    advance(Duration::from_secs(53)).await;
    assert_eq!(auth.held("a", Access::Pull).await.unwrap().id, first.id);
    advance(Duration::from_secs(2)).await;
    assert!(auth.held("a", Access::Pull).await.is_none());
    // A refused one is replaced once, whoever comes with it.
    let second = auth.token("a", Access::Pull, None, fetch).await.unwrap();
    let replaced = auth.token("a", Access::Pull, Some(&second), fetch).await.unwrap();
    let again = auth.token("a", Access::Pull, Some(&second), fetch).await.unwrap();
    assert_eq!(replaced.id, again.id);
    assert_eq!(fetched.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn all_who_wait_share_a_failure_and_the_next_tries_again() {
    let (auth, fetched) = (Auth::default(), AtomicUsize::new(0));
    let fetch = async || {
        fetched.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_millis(10)).await;
        Err(Failure::new(StoreErrorKind::Unavailable, "down"))
    };
    let all = join_all((0..16).map(|_| auth.token("a", Access::Pull, None, fetch))).await;
    assert!(all.iter().all(|it| it.as_ref().is_err_and(|it| it.detail.as_deref() == Some("down"))));
    assert_eq!(fetched.load(Ordering::Relaxed), 1);
    auth.token("a", Access::Pull, None, fetch).await.unwrap_err();
    assert_eq!(fetched.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn wide_tokens_serve_narrow_needs_and_not_the_other_way() {
    let auth = Auth::default();
    auth.token("a", Access::Push, None, async || Ok(granted("x", 60))).await.unwrap();
    assert!(auth.held("a", Access::Pull).await.is_some());
    assert!(auth.held("a", Access::Delete).await.is_none());
    assert!(auth.held("b", Access::Pull).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_token_that_does_not_help_is_not_renewed_for_a_while() {
    let auth = Auth::default();
    let held = auth.token("a", Access::Pull, None, async || Ok(granted("x", 3600))).await.unwrap();
    assert!(auth.can_renew("a", &held).await);
    auth.renewed_in_vain("a", &held).await;
    assert!(!auth.can_renew("a", &held).await);
    advance(FUTILE_FOR).await;
    assert!(auth.can_renew("a", &held).await);
}

#[test]
fn a_repository_may_have_its_own_token_server() {
    let bearer = |realm: &str, scope: &str| {
        Arc::new(Challenge::Bearer {
            realm: realm.to_owned(),
            service: None,
            scope: Some(scope.to_owned()),
        })
    };
    let auth = Auth::default();
    assert!(auth.challenge("a").is_none());
    auth.learn("a", &bearer("https://one", "a"));
    auth.learn("b", &bearer("https://two", "b"));
    auth.learn("c", &bearer("https://one", "c"));
    let same =
        |repository, realm| same_server(&auth.challenge(repository).unwrap(), &bearer(realm, ""));
    assert!(same("a", "https://one") && same("b", "https://two") && same("c", "https://one"));
    assert!(same("d", "https://one"));
}
