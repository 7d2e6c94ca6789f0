//! Whatever the numbers and texts: no panic, well-formed markup, nothing outside the image.

use mlestar_report::{format, thumbnail};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::charts::{every_chart, names};
use crate::hostile::page_of;
use crate::markup::parse;

fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => proptest::num::f64::ANY,
        2 => -2.0..2.0,
        1 => prop::sample::select(vec![
            0.0, -0.0, 1.0, f64::MAX, f64::MIN, f64::MIN_POSITIVE, 5e-324, f64::EPSILON,
            f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1e16, 1e16 + 2.0, u64::MAX as f64,
        ]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn charts_take_any_numbers(values in vec(any_number(), 0..12), n in 0usize..14) {
        for svg in every_chart(&names(n), &values, "Title") {
            let document = parse(svg.as_str());
            prop_assert!(document.is_ok(), "{:?}", document.err());
            for element in document.unwrap().elements {
                for (key, value) in element.attributes {
                    let is_bad = value.contains("NaN") || value.contains("inf");
                    prop_assert!(!is_bad, "{key}={value:?}");
                }
            }
        }
    }

    #[test]
    fn charts_take_any_texts(texts in vec(any::<String>(), 1..5)) {
        for svg in every_chart(&texts, &[0.5, 0.25], &texts[0]) {
            let document = parse(svg.as_str());
            prop_assert!(document.is_ok(), "{:?}", document.err());
        }
    }

    #[test]
    fn pages_take_any_texts(text in any::<String>()) {
        let document = parse(&page_of(&text).render());
        prop_assert!(document.is_ok(), "{:?}", document.err());
    }

    #[test]
    fn numbers_are_written_without_panic(value in any_number(), decimals in 0usize..40, n in any::<u64>()) {
        for text in [
            format::number(value, decimals),
            format::fraction(value),
            format::seconds(value),
            format::milliseconds(value),
            format::interval(value, value, decimals),
            format::optional(Some(value), decimals),
            format::count(n),
            format::bytes(n),
        ] {
            prop_assert!(!text.is_empty() && !text.contains("NaN") && !text.contains("inf"));
        }
    }

    #[test]
    fn written_counts_read_back(n in any::<u64>()) {
        let text = format::count(n);
        prop_assert_eq!(text.replace(',', "").parse::<u64>().unwrap(), n);
    }

    #[test]
    fn thumbnails_take_any_size(
        height in 0usize..9, width in 0usize..9, extra in 0usize..2,
    ) {
        let pixels = vec![7; height * width * 3 + extra];
        let is_possible = height > 0 && width > 0 && extra == 0;
        prop_assert_eq!(thumbnail(&pixels, height, width).is_ok(), is_possible);
    }
}
