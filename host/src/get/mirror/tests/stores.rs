//! Object stores, and whole files fetched from mirrors alone.

use super::*;
use crate::fetch::partial::{Leftover, Replace};
use crate::fetch::schedule::SourceId;
use crate::get::budget::Budget;
use crate::get::exchange::Exchange;
use crate::get::file::Whose;
use crate::get::job::{How, Job, Listed, Notice, Wanted};
use crate::transfer::safe_path::{Root, SafePath};
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use ropewalk_core::time::Instant;

#[tokio::test]
async fn any_store_of_the_library_is_a_mirror() {
    let content = noise(2 * PIECE_BYTES + 5);
    let scene = Scene::new();
    scene.write("film", &content);
    let store = Arc::new(InMemory::new());
    let put = async |key: &str, bytes: Vec<u8>| {
        store.put(&object_store::path::Path::parse(key).unwrap(), bytes.into()).await.unwrap();
    };
    put("k/film", content.clone()).await;
    put("k/film.ropewalk", scene.sidecar("film")).await;
    let mirror = Mirror::in_store(store.clone(), "k/film", &scene.path("scratch")).unwrap();
    let (asker, mut events) = opened(&Arc::new(mirror));
    let item = list(&asker, &mut events).await.remove(0);
    let whole = fetch_all(&asker, &mut events, of(&item), item.root(), item.pieces()).await;
    assert!(whole == content);
    put("k/film", vec![]).await;
    let number = asker.piece(of(&item), 2, 0).unwrap();
    // The store says no more than that the range cannot be.
    assert!(matches!(next(&mut events).await, Event::Lost(_)), "{number}");
}

fn settings(url: &str) -> Vec<(String, String)> {
    let settings = [
        ("AWS_ENDPOINT", url),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_REGION", "eu-central-9"),
        ("AWS_ACCESS_KEY_ID", "me"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_NO_SUCH_SETTING", "1"),
        ("PATH", "/bin"),
    ];
    settings.map(|(name, value)| (name.into(), value.into())).into()
}

#[tokio::test]
async fn an_object_in_s3_is_asked_for_with_a_signature() {
    let content = noise(2 * PIECE_BYTES + 5);
    let (scene, server) = (Scene::new(), Server::start().await);
    scene.write("a film", &content);
    server.put("/bucket/k/a film", content.clone());
    server.put("/bucket/k/a film.ropewalk", scene.sidecar("a film"));
    let address = Address::parse("s3://bucket/k/a film").unwrap();
    let stores = Stores::of(&address, settings(&server.url).into_iter()).unwrap();
    let mirror = Arc::new(Mirror::at(address.to_string(), Some(stores), &scene.path("scratch")));
    let (asker, mut events) = opened(&mirror);
    let item = list(&asker, &mut events).await.remove(0);
    let whole = fetch_all(&asker, &mut events, of(&item), item.root(), item.pieces()).await;
    assert!(whole == content);
    for asked in server.asked() {
        assert!(asked.head.starts_with("GET /bucket/k/a%20film"), "{}", asked.head);
        assert!(asked.head.contains("Credential=me/"), "{}", asked.head);
        assert!(asked.head.contains("/eu-central-9/s3/"), "{}", asked.head);
        assert!(!asked.head.contains("secret"));
    }
    // What the store says no to.
    for (status, reason) in
        [(403, Reason::Unreadable), (404, Reason::Unknown), (416, Reason::Changed)]
    {
        server.behave(move |_, _| Answer::status(status));
        let number = asker.piece(of(&item), 1, 0).unwrap();
        assert_eq!(refusal(&mut events, number, 0).await, reason);
    }
    server.behave(|_, _| Answer { body: vec![0; 9], ..Answer::status(200) });
    asker.piece(of(&item), 1, 0).unwrap();
    assert_eq!(loss(&mut events).await.0.kind(), io::ErrorKind::Unsupported);
}

#[test]
fn settings_that_make_no_sense_are_said() {
    let address = Address::parse("s3://bucket/key").unwrap();
    let half = [("AWS_ACCESS_KEY_ID".to_owned(), "me".to_owned())];
    assert!(Stores::of(&address, half.into_iter()).is_err());
    let address = Address::parse("http://host:99999/film").unwrap();
    let error = Mirror::new(&address, Path::new("/")).unwrap_err().to_string();
    assert!(error.contains("http://host:99999/film"), "{error}");
}

/// Fetches the film into `out`, from these mirrors alone; who lied.
async fn get(item: &Item, mirrors: &[Arc<Mirror>], out: &Path) -> Vec<SourceId> {
    let (told, mut events) = mpsc::channel(16);
    let begin = std::time::Instant::now();
    let now = || Instant::from_micros(1 + begin.elapsed().as_micros() as u64);
    let whose =
        Whose { root: item.root(), pieces: item.pieces(), attributes: Attributes::default() };
    let path = SafePath::parse(b"film").unwrap();
    let list = core::iter::once(Ok(Listed::File(Wanted { of: of(item), whose, path })));
    let how = How { replace: Replace::No, leftover: Leftover::Resume };
    let mut job = Job::new(Arc::new(Root::open(out).unwrap()), how, None, list);
    let mut exchange = Exchange::default();
    for (source, mirror) in (0..).map(SourceId).zip(mirrors) {
        let asker = open(mirror.clone(), source, told.clone());
        asker.list();
        exchange.add(source, asker, now());
    }
    let mut notices = Vec::new();
    loop {
        job.fill(&mut exchange, &mut { Budget::TURN }).unwrap();
        notices.extend(job.notices());
        if job.is_done() {
            break;
        }
        exchange.ask(now());
        let patience = core::time::Duration::from_millis(100);
        match tokio::time::timeout(patience, events.recv()).await {
            Err(_) => exchange.handle_timeout(now()),
            Ok(None) => panic!("the channel is ours"),
            Ok(Some((source, event))) => {
                if let Event::ListEnd = event {
                    // Now it is known that it has hashes.
                    exchange.restrict(source);
                }
                if let Some(came) = exchange.handle(source, event, now()) {
                    job.take(came, false, &mut exchange).unwrap();
                }
            }
        }
        assert!(begin.elapsed().as_secs() < 60);
    }
    job.finish().unwrap();
    let lied = |notice| match notice {
        Notice::Lied(source) => Some(source),
        _ => None,
    };
    notices.into_iter().filter_map(lied).collect()
}

#[tokio::test]
async fn a_file_comes_from_mirrors_alone_and_a_lying_one_is_found() {
    let content = noise(20 * PIECE_BYTES + 1);
    let (scene, _good, mirror) = with_film(&content).await;
    let (_other, bad, lying) = with_film(&content).await;
    bad.behave(|asked, mut answer| {
        if asked.range.is_some()
            && let Some(byte) = answer.body.get_mut(1_000)
        {
            *byte ^= 1;
        }
        answer
    });
    let out = scene.path("out");
    fs::create_dir(&out).unwrap();
    let liars = get(&film(&content), &[mirror, lying], &out).await;
    assert_eq!(liars, [SourceId(1)]);
    assert!(fs::read(out.join("film")).unwrap() == content);
}
