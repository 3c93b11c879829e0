//! Mirrors that are away, busy, broken or wrong.

use super::*;
use core::time::Duration;
use std::io::ErrorKind;

/// A mirror that was told of a film of three pieces and more.
async fn told() -> (Vec<u8>, Item, Scene, Server, Arc<Mirror>) {
    let content = noise(3 * PIECE_BYTES + 77);
    let (scene, server, mirror) = without_sidecar(&content).await;
    let item = film(&content);
    (content, item, scene, server, mirror)
}

#[tokio::test]
async fn one_that_ignores_ranges_is_named_and_floods_nobody() {
    let content = noise(40 * PIECE_BYTES);
    let (_scene, server, mirror) = without_sidecar(&content).await;
    let whole = content.clone();
    server.behave(move |asked, answer| match asked.range {
        Some(_) => Answer { body: whole.clone(), ..Answer::status(200) },
        None => answer,
    });
    let (asker, mut events) = opened(&mirror);
    asker.piece(of(&film(&content)), 1, 0).unwrap();
    let (error, came) = loss(&mut events).await;
    assert_eq!((error.kind(), came), (ErrorKind::Unsupported, 0));
    assert!(error.to_string().contains("whole files only"), "{error}");
    assert!(is_broken(&TransferError::Lost(error)));
    tokio::time::sleep(Duration::from_millis(200)).await;
    // What fits into the system's buffers goes out before the connection is closed.
    assert!(server.sent() < 16 << 20, "{}", server.sent());
}

#[tokio::test]
async fn another_range_than_was_asked_for_is_named() {
    let (_, item, _scene, server, mirror) = told().await;
    server.behave(|_, answer| Answer {
        headers: vec![format!(
            "content-range: bytes 5-{}/{}",
            4 + PIECE_BYTES,
            3 * PIECE_BYTES + 77
        )],
        ..answer
    });
    let (asker, mut events) = opened(&mirror);
    asker.piece(of(&item), 1, 0).unwrap();
    let (error, came) = loss(&mut events).await;
    assert_eq!((error.kind(), came), (ErrorKind::InvalidData, 0));
    assert!(error.to_string().contains("got 5.."), "{error}");
}

#[tokio::test]
async fn a_file_of_another_length_is_another_file() {
    let (content, item, _scene, server, mirror) = told().await;
    let (asker, mut events) = opened(&mirror);
    let longer = [&content[..], b"more"].concat();
    for other in [longer, content[..content.len() - 1].to_vec(), vec![], content[..99].to_vec()] {
        server.put("/film", other);
        for piece in 0..4 {
            let number = asker.piece(of(&item), piece, 0).unwrap();
            let reason = refusal(&mut events, number, 0).await;
            assert_eq!(reason, Reason::Changed, "piece {piece}");
        }
    }
    // A whole one too.
    let short = film(b"short");
    mirror.know(Facts::item_alone(short.clone()));
    let number = asker.piece(of(&short), 0, 0).unwrap();
    assert_eq!(refusal(&mut events, number, 0).await, Reason::Changed);
}

#[tokio::test]
async fn what_it_has_not_got_and_what_it_does_not_give_are_refused() {
    let (_, item, _scene, server, mirror) = told().await;
    let (asker, mut events) = opened(&mirror);
    for (status, reason) in [
        (404, Reason::Unknown),
        (410, Reason::Unknown),
        (401, Reason::Unreadable),
        (403, Reason::Unreadable),
        (416, Reason::Changed),
    ] {
        server.behave(move |_, _| Answer::status(status));
        let number = asker.piece(of(&item), 1, 0).unwrap();
        assert_eq!(refusal(&mut events, number, 0).await, reason, "{status}");
    }
}

#[tokio::test]
async fn a_refusal_of_any_length_is_not_read() {
    let (_, item, _scene, server, mirror) = told().await;
    server.behave(|_, _| Answer { body: vec![b'x'; 40 << 20], ..Answer::status(404) });
    let (asker, mut events) = opened(&mirror);
    let number = asker.piece(of(&item), 1, 0).unwrap();
    assert_eq!(refusal(&mut events, number, 0).await, Reason::Unknown);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(server.sent() < 32 << 20, "{}", server.sent());
}

#[tokio::test]
async fn one_that_is_busy_is_lost_and_good_when_it_is_opened_again() {
    let (content, item, _scene, server, mirror) = told().await;
    server.behave(|_, _| Answer::status(503));
    let (asker, mut events) = opened(&mirror);
    asker.piece(of(&item), 0, 0).unwrap();
    let (error, _) = loss(&mut events).await;
    assert!(error.to_string().contains("503"), "{error}");
    assert!(!is_broken(&TransferError::Lost(error)));
    server.behave(|_, answer| answer);
    let (asker, mut events) = opened(&mirror);
    let number = asker.piece(of(&item), 0, 0).unwrap();
    assert!(answer(&mut events, number).await == content[..PIECE_BYTES as usize]);
}

#[tokio::test]
async fn one_that_is_not_there_is_lost() {
    let (_, item, scene, server, _) = told().await;
    drop(server);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mirror = scene.mirror(&format!("http://{address}/film"));
    let (asker, mut events) = opened(&mirror);
    asker.list();
    let (error, _) = loss(&mut events).await;
    assert_eq!(error.kind(), ErrorKind::NotConnected, "{error}");
    assert!(!error.to_string().contains("film"), "{error}");
    // Hashes from elsewhere do not bring it back either.
    mirror.know(Facts::item_alone(item.clone()));
    let (asker, mut events) = opened(&mirror);
    asker.piece(of(&item), 0, 0).unwrap();
    assert_eq!(loss(&mut events).await.0.kind(), ErrorKind::NotConnected);
}

#[tokio::test]
async fn one_that_bears_two_connections_is_asked_over_two() {
    let (content, item, _scene, server, mirror) = told().await;
    server.behave(|asked, answer| match asked.at_once {
        ..=2 => Answer { pause: Duration::from_millis(10), ..answer },
        _ => Answer::status(503),
    });
    let (asker, mut events) = opened(&mirror);
    let asked: Vec<_> = (0..4).map(|piece| asker.piece(of(&item), piece, 0).unwrap()).collect();
    let came = answers(&mut events, asked.clone()).await;
    assert!(asked.iter().flat_map(|number| came[number].clone()).eq(content));
}

#[tokio::test]
async fn an_answer_that_breaks_off_goes_on_where_it_stopped() {
    let (content, item, _scene, server, mirror) = told().await;
    // The first answer for piece 0 breaks off in its middle, while that for piece 1 is under way.
    let broke = core::sync::atomic::AtomicBool::new(false);
    server.behave(move |asked, answer| match &asked.range {
        Some(range)
            if range.start == 0 && !broke.swap(true, core::sync::atomic::Ordering::Relaxed) =>
        {
            let length = Some(answer.body.len() as u64);
            Answer { length, body: answer.body[..300_000].to_vec(), ..answer }
        }
        _ => Answer { pause: Duration::from_millis(20), ..answer },
    });
    let (asker, mut events) = opened(&mirror);
    let asked: Vec<_> = (0..2).map(|piece| asker.piece(of(&item), piece, 0).unwrap()).collect();
    let came = answers(&mut events, asked.clone()).await;
    assert!(came[&asked[0]] == content[..PIECE_BYTES as usize]);
    assert!(came[&asked[1]] == content[PIECE_BYTES as usize..2 * PIECE_BYTES as usize]);
    let begins: Vec<_> =
        server.asked().iter().filter_map(|a| Some(a.range.clone()?.start)).collect();
    assert!(begins.iter().any(|begin| (200_000..=300_000).contains(begin)), "{begins:?}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_with_nothing_else_under_way_is_a_loss() {
    let (_, item, _scene, server, mirror) = told().await;
    server.behave(|_, answer| {
        let length = Some(answer.body.len() as u64);
        Answer { length, body: answer.body[..300_000].to_vec(), ..answer }
    });
    let (asker, mut events) = opened(&mirror);
    asker.piece(of(&item), 1, 0).unwrap();
    let (error, came) = loss(&mut events).await;
    assert!(came <= 300_000 && error.kind() != ErrorKind::InvalidData, "{came}: {error:?}");
}

#[tokio::test]
async fn one_object_that_cannot_be_had_does_not_end_the_rest() {
    let (content, item, _scene, server, mirror) = told().await;
    server.behave(|asked, answer| match &asked.range {
        Some(range) if range.start == 0 => Answer::status(500),
        _ => Answer { pause: Duration::from_millis(30), ..answer },
    });
    let (asker, mut events) = opened(&mirror);
    let asked: Vec<_> = (0..4).map(|piece| asker.piece(of(&item), piece, 0).unwrap()).collect();
    let (mut done, mut refused) = (0, None);
    while done < 3 {
        match next(&mut events).await {
            Event::Chunk { .. } => {}
            Event::Done(_) => done += 1,
            Event::No(number, reason) => refused = Some((number, reason)),
            // With nothing else under way nobody can tell one object's trouble from the mirror's.
            Event::Lost(error) => panic!("{error} after {done} of {}", content.len()),
            other => panic!("{other:?}"),
        }
    }
    if let Some(refused) = refused {
        assert_eq!(refused, (asked[0], Reason::Unreadable));
    }
}

#[tokio::test]
async fn a_sidecar_that_is_none_is_told_and_is_as_none() {
    let content = noise(2 * PIECE_BYTES);
    let (scene, server, mirror) = with_film(&content).await;
    let mut cut = scene.sidecar("film");
    cut.pop();
    for (bad, word) in [(b"<html>not found, but 200".to_vec(), "no sidecar"), (cut, "damaged")] {
        server.put("/film.ropewalk", bad);
        let mirror = scene.mirror(mirror.name());
        let (asker, mut events) = opened(&mirror);
        assert!(list(&asker, &mut events).await.is_empty());
        assert!(mirror.trouble().unwrap().contains(word), "{:?}", mirror.trouble());
        mirror.know(Facts::item_alone(film(&content)));
        let number = asker.piece(of(&film(&content)), 0, 0).unwrap();
        assert_eq!(answer(&mut events, number).await.len(), PIECE_BYTES as usize);
    }
    // Too long a one is not fetched.
    server.behave(|_, answer| Answer { length: Some(SIDECAR_BYTES_MAX + 1), ..answer });
    let mirror = scene.mirror(mirror.name());
    let (asker, mut events) = opened(&mirror);
    assert!(list(&asker, &mut events).await.is_empty());
    assert!(mirror.trouble().unwrap().contains("too long"));
}

#[tokio::test]
async fn a_sidecar_that_takes_long_keeps_nobody_waiting_who_has_hashes() {
    let content = noise(2 * PIECE_BYTES);
    let (_scene, server, mirror) = with_film(&content).await;
    server.behave(|asked, answer| match asked.path.as_str() {
        "/film" => answer,
        _ => Answer { pause: Duration::from_secs(3600), ..answer },
    });
    mirror.know(Facts::item_alone(film(&content)));
    let (asker, mut events) = opened(&mirror);
    asker.list();
    let number = asker.piece(of(&film(&content)), 1, 0).unwrap();
    assert_eq!(answer(&mut events, number).await.len(), PIECE_BYTES as usize);
}

#[tokio::test]
async fn a_sidecar_that_cannot_be_had_now_is_waited_for_unless_hashes_are_here() {
    let content = noise(2 * PIECE_BYTES);
    let (_scene, server, mirror) = with_film(&content).await;
    server.behave(|asked, answer| match asked.path.as_str() {
        "/film" => answer,
        _ => Answer::status(503),
    });
    let (asker, mut events) = opened(&mirror);
    asker.list();
    assert!(loss(&mut events).await.0.to_string().contains("503"));
    mirror.know(Facts::item_alone(film(&content)));
    let (asker, mut events) = opened(&mirror);
    let number = asker.piece(of(&film(&content)), 1, 0).unwrap();
    assert_eq!(answer(&mut events, number).await.len(), PIECE_BYTES as usize);
    drop(asker);
    server.behave(|_, answer| answer);
    let (asker, mut events) = opened(&mirror);
    assert_eq!(list(&asker, &mut events).await.len(), 1);
    assert_eq!(asker.gives(of(&film(&content))), Gives::ALL);
}
