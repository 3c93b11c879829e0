//! A file on a good mirror.

use super::*;
use core::time::Duration;
use proptest::prelude::*;

#[tokio::test]
async fn a_mirror_with_a_sidecar_needs_nobody_else() {
    let content = noise(3 * PIECE_BYTES + 5);
    let (scene, server, mirror) = with_film(&content).await;
    for url in [format!("{}/film", server.url), format!("{}/film.ropewalk", server.url)] {
        let mirror = scene.mirror(&url);
        let (asker, mut events) = opened(&mirror);
        let items = list(&asker, &mut events).await;
        assert_eq!((items.len(), items[0].name()), (1, "film"));
        let item = &items[0];
        assert_eq!(item.root(), blake3::hash(&content));
        assert_eq!(asker.gives(of(item)), Gives::ALL);
        let whole = fetch_all(&asker, &mut events, of(item), item.root(), item.pieces()).await;
        assert!(whole == content);
        assert_eq!((asker.out(), asker.works_max()), (0, WORKS_MAX));
    }
    // One after the other they need one connection each, and no sidecar is fetched twice.
    assert_eq!(server.connections(), 2);
    drop(mirror);
}

#[tokio::test]
async fn it_is_looked_at_once() {
    let (_scene, server, mirror) = with_film(&noise(PIECE_BYTES * 2)).await;
    for _ in 0..3 {
        let (asker, mut events) = opened(&mirror);
        assert_eq!(list(&asker, &mut events).await.len(), 1);
        drop(asker);
        assert!(events.recv().await.is_none(), "nobody asks any more");
    }
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn pieces_come_side_by_side_and_no_more_than_so_many() {
    let content = noise(9 * PIECE_BYTES + 1);
    let (_scene, server, mirror) = with_film(&content).await;
    server.behave(|_, answer| Answer { pause: Duration::from_millis(5), ..answer });
    let (asker, mut events) = opened(&mirror);
    let item = list(&asker, &mut events).await.remove(0);
    let asked: Vec<_> = (0..10).map(|piece| asker.piece(of(&item), piece, 0).unwrap()).collect();
    let came = answers(&mut events, asked.clone()).await;
    let whole: Vec<u8> = asked.iter().flat_map(|number| came[number].clone()).collect();
    assert!(whole == content);
    let at_once = server.asked().iter().map(|asked| asked.at_once).max();
    assert_eq!(at_once, Some(CONNECTIONS));
    assert!(server.connections() <= CONNECTIONS + 1, "{}", server.connections());
}

#[tokio::test]
async fn without_a_sidecar_it_gives_pieces_of_what_it_is_told_of() {
    let content = noise(2 * PIECE_BYTES + 9);
    let (scene, server) = (Scene::new(), Server::start().await);
    server.put("/film", content.clone());
    let mirror = scene.mirror(&format!("{}/film?token=1", server.url));
    let (asker, mut events) = opened(&mirror);
    assert!(list(&asker, &mut events).await.is_empty());
    let item = film(&content);
    let number = asker.piece(of(&item), 0, 0).unwrap();
    assert_eq!(refusal(&mut events, number, 0).await, Reason::Unknown);
    mirror.know(Facts::item_alone(item.clone()));
    assert_eq!(asker.gives(of(&item)), Gives { hashes: false, pieces: true });
    let number = asker.piece(of(&item), 2, 3).unwrap();
    assert!(answer(&mut events, number).await == content[2 * PIECE_BYTES as usize + 3..]);
    let number = asker.group(of(&item), crate::content::tree::GroupId { level: 0, index: 0 });
    assert_eq!(refusal(&mut events, number.unwrap(), 0).await, Reason::Unknown);
    for (piece, from) in [(3, 0), (2, 10)] {
        let number = asker.piece(of(&item), piece, from).unwrap();
        assert_eq!(refusal(&mut events, number, 0).await, Reason::Unknown);
    }
    assert!(server.asked().iter().all(|asked| asked.head.contains("?token=1 ")));
}

#[tokio::test]
async fn short_and_empty_files_need_no_ranges() {
    for length in [0, 1, 1_000, PIECE_BYTES] {
        let content = noise(length);
        let (_scene, server, mirror) = with_film(&content).await;
        // As servers do that know none.
        server.behave(|asked, answer| match asked.range {
            Some(_) => Answer { body: vec![0; 10], headers: vec![], ..Answer::status(200) },
            None => answer,
        });
        let (asker, mut events) = opened(&mirror);
        let item = list(&asker, &mut events).await.remove(0);
        let number = asker.piece(of(&item), 0, 0).unwrap();
        assert!(answer(&mut events, number).await == content);
        let number = asker.piece(of(&item), 0, length as u32).unwrap();
        assert!(answer(&mut events, number).await.is_empty());
    }
}

#[tokio::test]
async fn what_is_cancelled_is_cut_and_the_rest_goes_on() {
    let content = noise(12 * PIECE_BYTES);
    let (_scene, server, mirror) = without_sidecar(&content).await;
    server.behave(|asked, answer| match asked.range {
        Some(ref range) if range.start == 0 => Answer { pause: Duration::from_secs(60), ..answer },
        _ => answer,
    });
    let (asker, mut events) = opened(&mirror);
    let item = film(&content);
    let asked: Vec<_> = (0..12).map(|piece| asker.piece(of(&item), piece, 0).unwrap()).collect();
    asker.cancel(asked[0]);
    asker.cancel(asked[11]);
    asker.cancel(99);
    let (mut cut, mut done) = (Vec::new(), 0);
    while done < 10 {
        match next(&mut events).await {
            Event::Cut(number) => cut.push(number),
            Event::Done(_) => done += 1,
            Event::Chunk { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((cut, asker.out()), (vec![asked[0], asked[11]], 0));
}

#[tokio::test]
async fn where_it_leads_elsewhere_it_is_followed() {
    let content = noise(2 * PIECE_BYTES);
    let (_scene, server, mirror) = without_sidecar(&content).await;
    server.put("/elsewhere", content.clone());
    server.behave(|asked, answer| match asked.path.as_str() {
        "/film" => Answer { headers: vec!["location: /elsewhere".into()], ..Answer::status(302) },
        _ => answer,
    });
    let (asker, mut events) = opened(&mirror);
    let number = asker.piece(of(&film(&content)), 1, 0).unwrap();
    assert!(answer(&mut events, number).await == content[PIECE_BYTES as usize..]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Any part of any piece of a file of any length is what stands there.
    #[test]
    fn any_part_of_any_piece_comes(
        length in 0_u64..3 * PIECE_BYTES,
        parts in prop::collection::vec((0_u64..3, 0_u32..PIECE_BYTES as u32 + 2), 1..12),
    ) {
        let content = noise(length);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let came = runtime.block_on(async {
            let (_scene, _server, mirror) = without_sidecar(&content).await;
            let (asker, mut events) = opened(&mirror);
            let item = film(&content);
            let asked: Vec<_> = parts
                .iter()
                .map(|(piece, from)| asker.piece(of(&item), *piece, *from).unwrap())
                .collect();
            let mut came: HashMap<u64, Option<Vec<u8>>> =
                asked.iter().map(|number| (*number, Some(vec![]))).collect();
            let mut left = asked.len();
            while left > 0 {
                match next(&mut events).await {
                    Event::Chunk { number, bytes, .. } => {
                        came.get_mut(&number).unwrap().as_mut().unwrap().extend(bytes);
                    }
                    Event::Done(_) => left -= 1,
                    Event::No(number, Reason::Unknown) => {
                        came.insert(number, None);
                        left -= 1;
                    }
                    other => panic!("{other:?}"),
                }
            }
            asked.into_iter().map(|number| came.remove(&number).unwrap()).collect::<Vec<_>>()
        });
        let pieces = Pieces::of(length).unwrap();
        for ((piece, from), came) in parts.into_iter().zip(came) {
            let expected = pieces.range(piece).and_then(|range| {
                let begin = range.start + u64::from(from);
                content.get(begin as usize..range.end as usize).map(<[u8]>::to_vec)
            });
            prop_assert!(came == expected, "piece {piece} from {from} of {length}");
        }
    }
}
