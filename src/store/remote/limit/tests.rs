use super::*;

fn limiter(concurrency: u32, per_second: Option<f64>, writes: Option<f64>) -> Limiter {
    Limiter::new(NonZeroU32::new(concurrency).unwrap(), per_second, writes)
}

fn later(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn requests_are_paced_evenly_and_writes_by_both_rates() {
    let limiter = limiter(100, Some(10.0), Some(2.0));
    let started = Instant::now();
    for _ in 0..11 {
        limiter.admit(Load::Read, later(60)).await.unwrap();
    }
    assert_eq!(started.elapsed().as_millis() / 10, 100);
    let started = Instant::now();
    for _ in 0..3 {
        limiter.admit(Load::Write, later(60)).await.unwrap();
    }
    let took = started.elapsed().as_millis();
    assert!((1000..1200).contains(&took), "{took}");
}

#[tokio::test(start_paused = true)]
async fn no_more_are_let_in_than_may_be() {
    let limiter = limiter(2, None, None);
    let one = limiter.admit(Load::Read, later(60)).await.unwrap();
    let _two = limiter.admit(Load::Read, later(60)).await.unwrap();
    let waits = tokio::time::timeout(Duration::from_secs(9), limiter.admit(Load::Read, later(60)));
    assert!(waits.await.is_err());
    drop(one);
    limiter.admit(Load::Read, later(60)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn refusals_of_one_epoch_are_one_pause() {
    let limiter = limiter(8, None, None);
    let mut let_in = Vec::new();
    for _ in 0..8 {
        let_in.push(limiter.admit(Load::Read, later(600)).await.unwrap());
    }
    let mut pauses = Vec::new();
    for admission in &let_in {
        limiter.slow_down(admission, |count| {
            pauses.push(count);
            Duration::from_secs(10)
        });
    }
    assert_eq!(pauses, [1]);
    let_in.clear();
    // Who cannot wait so long is told at once.
    let refusal = limiter.admit(Load::Read, later(5)).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Paused(left) if left == Duration::from_secs(10)));
    let started = Instant::now();
    let admission = limiter.admit(Load::Read, later(600)).await.unwrap();
    assert!(started.elapsed() >= Duration::from_secs(10));
    // Refused again, the next pause may be longer; an answer ends the row.
    limiter.slow_down(&admission, |count| {
        assert_eq!(count, 2);
        Duration::from_secs(20)
    });
    limiter.answered();
    let admission = limiter.admit(Load::Read, later(600)).await.unwrap();
    limiter.slow_down(&admission, |count| {
        assert_eq!(count, 1);
        Duration::ZERO
    });
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_host_is_asked_now_and_then_and_an_answer_ends_that() {
    let limiter = limiter(8, None, None);
    limiter.gave_up(Instant::now(), Outage::Unreachable, "refused");
    let down = limiter.admit(Load::Read, later(60)).await.unwrap_err();
    assert!(matches!(down, Refusal::Down(said) if said == "refused"));
    tokio::time::advance(PROBE_EVERY).await;
    assert!(limiter.admit(Load::Read, later(60)).await.unwrap().is_probe);
    assert!(limiter.admit(Load::Read, later(60)).await.is_err());
    limiter.answered();
    assert!(!limiter.admit(Load::Read, later(60)).await.unwrap().is_probe);
}

#[tokio::test(start_paused = true)]
async fn a_failing_host_is_tried_once_by_each_and_one_broken_image_is_no_outage() {
    let limiter = limiter(8, None, None);
    let since = Instant::now();
    tokio::time::advance(Duration::from_secs(1)).await;
    limiter.answered();
    limiter.gave_up(since, Outage::Failing, "500");
    assert!(!limiter.admit(Load::Read, later(60)).await.unwrap().is_probe);
    tokio::time::advance(Duration::from_secs(1)).await;
    limiter.gave_up(Instant::now(), Outage::Failing, "500");
    for _ in 0..3 {
        assert!(limiter.admit(Load::Read, later(60)).await.unwrap().is_probe);
    }
}
