//! Names that need encoding on their way.

use gds_vault::ErrorKind;
use serde_json::json;

use super::cases;
use crate::corner::{Corner, assert_error};

cases! {
    Nothing: [
        odd_names_in_kv_2,
        odd_names_in_kv_1,
        odd_field_names,
        names_that_are_no_paths_are_not_sent,
        names_that_cannot_be_printed_are_refused,
        names_with_two_dots,
    ],
}

/// Each is one segment of a path.
const ODD: &[&str] = &[
    "with space",
    " leading",
    "ünïcödé",
    "日本語",
    "🔑",
    "50%",
    "%2F",
    "%zz",
    "a#b",
    "a?b=c",
    "a&b",
    "a+b",
    "a=b",
    "a;b",
    "a:b",
    "a@b",
    "a,b",
    "a~b",
    "a\\b",
    "a|b",
    "\"quoted\"",
    "'single'",
    "<angle>",
    "[square]",
    "{curly}",
    "back`tick",
    "data",
    "metadata",
    ".hidden",
];

async fn odd_names_in_kv_2(corner: Corner) {
    let mount = corner.kv2().await;
    let kv = corner.root().kv2(&*mount);
    for name in ODD {
        let path = format!("odd/{name}/{name}");
        kv.put(&path, &json!({"name": name}), Some(0))
            .await
            .unwrap_or_else(|error| panic!("{name:?}: {error}"));
        let secret = kv.read(&path).await.unwrap_or_else(|error| panic!("{name:?}: {error}"));
        assert_eq!(secret.field("name").unwrap().text().expose(), *name);
        assert_eq!(kv.list(&format!("odd/{name}")).await.unwrap(), [*name]);
    }
    let mut listed = kv.list("odd").await.unwrap();
    let mut expected: Vec<_> = ODD.iter().map(|name| format!("{name}/")).collect();
    assert!(listed.is_sorted(), "{listed:?}");
    expected.sort();
    listed.sort();
    assert_eq!(listed, expected);
    for name in ODD {
        kv.delete_metadata(&format!("odd/{name}/{name}")).await.unwrap();
    }
    assert_eq!(kv.list("").await.unwrap_err().kind(), ErrorKind::NotFound);
}

async fn odd_names_in_kv_1(corner: Corner) {
    let mount = corner.kv1().await;
    let kv = corner.root().kv1(&*mount);
    for name in ODD {
        kv.put(name, &json!({"name": name})).await.unwrap_or_else(|error| panic!("{name:?}: {error}"));
        let secret = kv.read(name).await.unwrap_or_else(|error| panic!("{name:?}: {error}"));
        assert_eq!(secret.field("name").unwrap().text().expose(), *name);
    }
    assert_eq!(kv.list("").await.unwrap().len(), ODD.len());
}

async fn odd_field_names(corner: Corner) {
    let mount = corner.kv2().await;
    let kv = corner.root().kv2(&*mount);
    let fields: serde_json::Map<_, _> =
        ODD.iter().chain(&["", "a/b", "\n", "\u{0}"]).map(|name| ((*name).to_owned(), json!(name))).collect();
    kv.put("a", &fields, None).await.unwrap();
    let secret = kv.read("a").await.unwrap();
    assert_eq!(secret.data().len(), fields.len());
    for (name, value) in &fields {
        assert_eq!(Some(secret.field(name).unwrap().text().expose()), value.as_str());
    }
}

async fn names_that_are_no_paths_are_not_sent(corner: Corner) {
    let mount = corner.kv2().await;
    let kv = corner.root().kv2(&*mount);
    for name in ["a//b", "../a", "a/./b", "a/..", "a\nb", "a\u{7f}b"] {
        let error = kv.read(name).await.unwrap_err();
        assert_eq!((error.kind(), error.was_sent()), (ErrorKind::Configuration, false), "{name:?}");
    }
}

/// Such as spaces of no width, which nobody sees and everybody copies.
async fn names_that_cannot_be_printed_are_refused(corner: Corner) {
    let mount = corner.kv2().await;
    let kv = corner.root().kv2(&*mount);
    for name in ["a\u{200b}b", "\u{feff}a", "a\u{ad}b"] {
        let error = kv.put(name, &json!({"x": 1}), None).await.unwrap_err();
        assert_error(&error, ErrorKind::BadRequest, 400, &[]);
    }
}

/// KV v1 takes names for those of files; KV v2, which has its secrets under other names, does not mind.
async fn names_with_two_dots(corner: Corner) {
    let (kv1, kv2) = (corner.kv1().await, corner.kv2().await);
    for name in ["...", "a..b"] {
        corner.root().kv2(&*kv2).put(name, &json!({"x": 1}), None).await.unwrap();
        let error = corner.root().kv1(&*kv1).put(name, &json!({"x": 1})).await.unwrap_err();
        assert_error(&error, ErrorKind::ServerError, 500, &["1 error occurred: * internal error"]);
    }
}
