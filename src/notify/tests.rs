//! Letters against local servers that answer as Discord, a webhook and a mail server do, faults included.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    thread::{self, JoinHandle},
};

use super::*;

fn letter() -> Letter {
    Letter {
        title: "fx-direction 2018-12:\u{1b}[31m completed".into(),
        text: "keep production: @everyone <script>".into(),
        fields: vec![("production".into(), "v1.4\u{7}".into())],
        mood: Mood::Good,
        file: Some(("2018-12-fx.html".into(), b"<!doctype html>\0".to_vec())),
    }
}

/// Reads a request and returns it with its body, as text.
fn request(stream: &mut TcpStream) -> String {
    let mut reader = BufReader::new(stream.try_clone().expect("a copy"));
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a line");
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a number");
        }
        head.push_str(&line);
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("the body");
    head + &String::from_utf8_lossy(&body)
}

/// A server that gives these answers in turn, and the requests it got.
fn serve(answers: Vec<&'static str>) -> (SecretString, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/hook/t0ken", listener.local_addr().expect("bound"));
    let server = thread::spawn(move || {
        answers
            .into_iter()
            .map(|answer| {
                let (mut stream, _) = listener.accept().expect("a caller");
                let got = request(&mut stream);
                stream.write_all(answer.as_bytes()).expect("answered");
                got
            })
            .collect()
    });
    (url.into(), server)
}

const NO_CONTENT: &str = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";

#[test]
fn discord_gets_an_embed_and_the_file_and_calls_nobody() {
    let wait = "HTTP/1.1 429 Too Many\r\nContent-Length: 20\r\nConnection: close\r\n\r\n{\"retry_after\": 0.2}";
    let (url, server) = serve(vec![wait, NO_CONTENT]);
    let channels = Channels { discord: Some(url), ..Channels::default() };
    let sent = send(&channels, &letter(), LIMIT);
    assert_eq!(sent, [Delivery { channel: "discord", failed: None }]);
    let requests = server.join().expect("served");
    assert_eq!(requests.len(), 2, "asked to wait, it came again");
    let got = &requests[1];
    for part in [
        "POST /hook/t0ken HTTP/1.1",
        "multipart/form-data; boundary=",
        r#""allowed_mentions":{"parse":[]}"#,
        r#""title":"fx-direction 2018-12:[31m completed""#,
        r#""name":"production","value":"v1.4""#,
        r#"name="files[0]"; filename="2018-12-fx.html""#,
        "<!doctype html>\0",
    ] {
        assert!(got.contains(part), "{part} is not in {got}");
    }
}

#[test]
fn a_webhook_gets_json() {
    let (url, server) = serve(vec![NO_CONTENT]);
    let channels = Channels { webhook: Some(url), ..Channels::default() };
    assert_eq!(send(&channels, &letter(), LIMIT)[0].failed, None);
    let got = server.join().expect("served").remove(0);
    let body = got.split_once("\r\n\r\n").expect("a body").1;
    let document: serde_json::Value = serde_json::from_str(body).expect("JSON");
    assert_eq!((&document["schema"], &document["mood"]), (&"aifx.notice/1".into(), &"good".into()));
}

#[test]
fn what_a_dead_channel_says_holds_no_secret_and_costs_no_more_than_the_limit() {
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent = format!("http://{}/hook/t0ken", nobody.local_addr().expect("bound"));
    for (answer, why) in [
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "status 404"),
        ("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", "status 500"),
        (
            "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n",
            "redirects",
        ),
        (
            "HTTP/1.1 429 Slow\r\nContent-Length: 21\r\n\r\n{\"retry_after\": 3600}",
            "asks to wait for 3600 s",
        ),
    ] {
        let (url, server) = serve(vec![answer]);
        let channels = Channels { discord: Some(url), ..Channels::default() };
        let sent = send(&channels, &letter(), Duration::from_secs(5));
        let said = sent[0].failed.clone().expect("it failed");
        assert!(said.contains(why) && !said.contains("t0ken"), "{said}");
        server.join().expect("served");
    }
    let channels = Channels {
        discord: Some(silent.into()),
        webhook: Some("http://127.0.0.1:1/hook/t0ken".to_owned().into()),
        mail: Some(MailServer {
            host: "127.0.0.1".into(),
            port: 1,
            tls: MailTls::Without,
            login: Some(("me".into(), "s3cr3t".to_owned().into())),
            from: "aifx@example.org".into(),
            to: vec!["desk@example.org".into()],
        }),
    };
    let started = Instant::now();
    let sent = send(&channels, &letter(), Duration::from_millis(600));
    assert!(started.elapsed() < Duration::from_millis(1200), "{:?}", started.elapsed());
    let channels: Vec<&str> = sent.iter().map(|one| one.channel).collect();
    assert_eq!(channels, ["discord", "webhook", "mail"]);
    for one in &sent {
        let said = one.failed.as_deref().expect("it failed");
        assert!(!said.contains("t0ken") && !said.contains("s3cr3t"), "{said}");
    }
}

#[test]
fn a_mail_server_gets_the_letter_with_its_file() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a caller");
        stream.write_all(b"220 test ESMTP\r\n").expect("greeted");
        let reader = BufReader::new(stream.try_clone().expect("a copy"));
        let (mut got, mut in_data) = (String::new(), false);
        for line in reader.lines().map_while(Result::ok) {
            got.push_str(&line);
            got.push('\n');
            let answer: &[u8] = match line.split(' ').next().unwrap_or_default() {
                "." if in_data => {
                    in_data = false;
                    b"250 taken\r\n"
                }
                _ if in_data => continue,
                "DATA" => {
                    in_data = true;
                    b"354 go on\r\n"
                }
                "QUIT" => {
                    let _ = stream.write_all(b"221 bye\r\n");
                    break;
                }
                _ => b"250 ok\r\n",
            };
            stream.write_all(answer).expect("answered");
            // The client keeps its connection; the letter is all that is waited for.
            if answer == b"250 taken\r\n" {
                break;
            }
        }
        got
    });
    let mail = MailServer {
        host: "127.0.0.1".into(),
        port,
        tls: MailTls::Without,
        login: None,
        from: "aifx <aifx@example.org>".into(),
        to: vec!["desk@example.org".into(), " head@example.org".into()],
    };
    let channels = Channels { mail: Some(mail), ..Channels::default() };
    assert_eq!(send(&channels, &letter(), LIMIT)[0].failed, None);
    let got = server.join().expect("served");
    for part in [
        "RCPT TO:<head@example.org>",
        "Subject: fx-direction 2018-12:[31m completed",
        "production: v1.4",
        "filename=\"2018-12-fx.html\"",
    ] {
        assert!(got.contains(part), "{part} is not in {got}");
    }
}

#[test]
fn letters_share_the_time_that_they_take() {
    let budget = Budget::default();
    let shared = budget.clone();
    let first = budget.spend(|left| {
        std::thread::sleep(Duration::from_millis(30));
        left
    });
    let second = shared.spend(|left| left);
    assert_eq!(first, LIMIT);
    assert!(second <= LIMIT - Duration::from_millis(30), "{second:?}");
    shared.0.lock().expect("not poisoned").clone_from(&Duration::ZERO);
    // Nothing is left: the letter is not sent, and said to be lost.
    let channels = Channels { webhook: Some("http://127.0.0.1:1/".into()), ..Channels::default() };
    let sent = budget.spend(|left| send(&channels, &letter(), left));
    assert!(sent[0].failed.is_some(), "{sent:?}");
}
