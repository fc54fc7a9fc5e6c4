//! The client against a server of one thread that answers what it is told.

use std::io::{Read, Write};
use std::net::TcpListener;

use super::*;

/// Answers one connection after the other with these, and gives back what was asked.
fn server(answers: Vec<String>) -> (Url, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1/keys/a?token=hunter2", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let mut asked = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut content = vec![0; 64 << 10];
            let length = stream.read(&mut content).unwrap();
            asked.push(String::from_utf8_lossy(&content[..length]).into_owned());
            // A client that has read enough hangs up.
            let _ = stream.write_all(answer.as_bytes());
        }
        asked
    });
    (url.parse().unwrap(), thread)
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    )
}

/// Whatever asks through this proxy hears nothing.
#[derive(Debug)]
struct ADeadProxy;

impl Environment for ADeadProxy {
    fn variable(&self, name: &str) -> Option<Secret<String>> {
        ["http_proxy", "https_proxy"]
            .contains(&name)
            .then(|| Secret::new("http://127.0.0.1:1".to_owned()))
    }

    fn prompt_password(&self, _: &str) -> Option<Secret<String>> {
        None
    }
}

async fn send(url: &Url, patience: Duration) -> Result<Answer, HttpFailure> {
    let timeout = Duration::from_secs(5);
    let http = Http::new(url, Tls::default(), timeout, patience, &ADeadProxy).unwrap();
    let token = Secret::new("hunter2".to_owned());
    let call = Call::new(Method::POST, url.clone()).secret_header("x-token", &token).unwrap();
    assert!(!format!("{call:?}").contains("hunter2"), "{call:?}");
    http.send(&call.json(&serde_json::json!({"a": 1}))).await
}

const PATIENT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    let (url, asked) = server(vec![
        answer("429 Too Many Requests", "retry-after: 0\r\n", ""),
        answer("503 Service Unavailable", "retry-after: 0\r\n", "sealed"),
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{".into(),
        answer("200 OK", "", r#"{"ok":true}"#),
    ]);
    assert_eq!(send(&url, PATIENT).await.unwrap().json().unwrap()["ok"], true);
    let asked = asked.join().unwrap();
    assert_eq!(asked.len(), 4);
    for one in asked {
        assert!(one.contains("x-token: hunter2") && one.ends_with(r#"{"a":1}"#), "{one}");
    }
}

#[tokio::test]
async fn what_stays_is_told_by_its_kind_with_what_was_said() {
    for (status, body, kind, said) in [
        (
            "403 Forbidden",
            r#"{"errors":["1 error","denied"]}"#,
            HttpFailureKind::Permission,
            "403 1 error; denied",
        ),
        ("401 Unauthorized", "<html>", HttpFailureKind::Permission, "401 Unauthorized"),
        (
            "404 Not Found",
            r#"{"message":"404 Project"}"#,
            HttpFailureKind::NotFound,
            "404 404 Project",
        ),
        ("409 Conflict", r#"{"error":"taken"}"#, HttpFailureKind::Conflict, "409 taken"),
        (
            "400 Bad Request",
            r#"{"error":{"message":"no"}}"#,
            HttpFailureKind::Unsupported,
            "400 no",
        ),
        ("501 Not Implemented", "", HttpFailureKind::Unavailable, "501 Not Implemented"),
    ] {
        let (url, asked) = server(vec![answer(status, "", body)]);
        let failure = send(&url, PATIENT).await.err().unwrap();
        assert_eq!((failure.kind, failure.said.as_str()), (kind, said));
        assert_eq!(asked.join().unwrap().len(), 1, "{status} is not tried again");
    }
}

#[tokio::test]
async fn patience_ends() {
    let (url, asked) = server(vec![answer("429 Too Many Requests", "retry-after: 3600\r\n", "")]);
    let failure = send(&url, PATIENT).await.err().unwrap();
    assert_eq!(failure.kind, HttpFailureKind::Throttled);
    asked.join().unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{nobody}/").parse().unwrap();
    let failure = send(&url, Duration::ZERO).await.err().unwrap();
    assert_eq!(failure.kind, HttpFailureKind::Unavailable);
    assert!(failure.said.contains("refused"), "{}", failure.said);
}

#[tokio::test]
async fn no_redirect_is_followed_and_no_secret_is_shown() {
    let to = "location: http://127.0.0.1:1/other?token=hunter2\r\n";
    let (url, asked) = server(vec![answer("307 Temporary Redirect", to, "")]);
    let failure = send(&url, PATIENT).await.err().unwrap();
    assert!(failure.said.contains("http://127.0.0.1:1/other"), "{failure:?}");
    assert!(!format!("{failure:?}").contains("hunter2"), "{failure:?}");
    assert_eq!(asked.join().unwrap().len(), 1);
}

#[tokio::test]
async fn an_endless_answer_and_one_of_somebody_else_are_told() {
    let (url, asked) = server(vec![answer("200 OK", "", &"a".repeat(LARGEST_ANSWER + 1))]);
    assert_eq!(send(&url, PATIENT).await.err().unwrap().kind, HttpFailureKind::Malformed);
    asked.join().unwrap();
    let (url, asked) = server(vec![answer("200 OK", "", "<html>login</html>")]);
    let failure = send(&url, PATIENT).await.unwrap().json().unwrap_err();
    assert!(failure.said.contains("something else than the service"), "{failure:?}");
    asked.join().unwrap();
}

#[test]
fn what_is_near_is_never_asked_for_through_a_proxy() {
    for (url, expected) in [
        ("http://169.254.169.254/metadata/identity", false),
        ("http://metadata.google.internal/", false),
        ("http://localhost:1/", false),
        ("https://127.0.0.1/", false),
        ("https://[::1]/", false),
        ("https://vault.example/", true),
        ("http://10.0.0.1/", true),
    ] {
        let found = proxy(&url.parse().unwrap(), &ADeadProxy).unwrap();
        assert_eq!(found.is_some(), expected, "{url}");
    }
}

#[test]
fn a_token_with_a_line_break_is_refused_without_showing_it() {
    let call = Call::new(Method::GET, "http://127.0.0.1/".parse().unwrap());
    let failure = call.secret_header("x-token", &Secret::new("hunter2\n".to_owned())).unwrap_err();
    assert!(failure.said.contains("x-token") && !failure.said.contains("hunter2"), "{failure:?}");
}
