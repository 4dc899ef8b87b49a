use proptest::prelude::*;

use super::{Json, encode, parse};

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        any::<i64>().prop_map(|number| Json::Number(number.to_string())),
        any::<String>().prop_map(Json::String),
    ];
    leaf.prop_recursive(5, 50, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Json::Array),
            prop::collection::btree_map(any::<String>(), inner, 0..6).prop_map(Json::Object),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(value in any_json()) {
        prop_assert_eq!(parse(encode(&value).as_bytes()).unwrap(), value);
    }

    #[test]
    fn any_other_reader_agrees(value in any_json()) {
        let read: serde_json::Value = serde_json::from_str(&encode(&value)).unwrap();
        prop_assert_eq!(Json::from(read), value);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn doubles_survive(number in any::<f64>().prop_filter("JSON has no others", |number| number.is_finite())) {
        let Json::Number(digits) = Json::Number(format!("{number:e}")).with_doubles() else { unreachable!() };
        prop_assert_eq!(digits.parse::<f64>().unwrap().to_bits(), number.to_bits());
        prop_assert_eq!(Json::Number(digits.clone()).with_doubles(), Json::Number(digits));
    }
}
