use super::super::testing::{Recorded, noise};
use super::*;

#[test]
fn equals_pillow_to_the_bit() {
    let recorded = Recorded::read("resize");
    for (index, case) in recorded.cases.iter().enumerate() {
        let number = |field: &str| case[field].as_u64().unwrap();
        let picture = recorded.picture(&format!("in{}", index / 6 * 6)).unwrap();
        let expected = recorded.picture(&format!("out{index}")).unwrap();
        let filter = Filter::from_pillow(number("filter")).unwrap();
        let found = resize(
            &picture,
            number("width") as u32,
            number("height") as u32,
            filter,
        )
        .unwrap();
        let size = (picture.width(), picture.height());
        assert_eq!(found, expected, "{size:?} to {case}");
    }
}

#[test]
fn a_window_is_a_crop_of_the_whole() {
    for (width, height, to_width, to_height) in [
        (40, 31, 17, 60),
        (23, 90, 51, 12),
        (30, 20, 30, 11),
        (9, 9, 9, 9),
    ] {
        let picture = noise(width, height, 3);
        let window = Window {
            left: 4,
            top: 3,
            width: 5,
            height: 6,
        };
        for filter in (0..6).filter_map(Filter::from_pillow) {
            let whole = resize(&picture, to_width, to_height, filter).unwrap();
            let part = resize_window(&picture, to_width, to_height, filter, window).unwrap();
            assert_eq!(
                part.rgb(),
                crop(&whole, window),
                "{filter:?}, {width} x {height} to {to_width} x {to_height}"
            );
        }
    }
}

#[test]
fn tiles_do_not_show() {
    // One output row needs all of the 1.4 million input rows, which is more than the work memory at
    // full width.
    let picture = noise(1, 1_400_000, 4);
    let columns = Axis::new(1, 24, 0, 24, Filter::Bilinear);
    let rows = Axis::new(1_400_000, 2, 0, 2, Filter::Bilinear);
    assert!(rows.spans[0].2 * 24 * 3 > WORK_BYTES);
    let out = resample(&picture, &columns, &rows);
    // All columns are the same, since the picture has only one.
    for row in out.chunks_exact(24 * 3) {
        assert!(row.chunks_exact(3).all(|pixel| pixel == &row[..3]));
    }
}

#[test]
fn a_window_of_an_enormous_picture_is_cheap() {
    let picture = noise(3, 4000, 5);
    let window = Window {
        left: 0,
        top: 223_832,
        width: 336,
        height: 336,
    };
    let part = resize_window(&picture, 336, 448_000, Filter::Bicubic, window).unwrap();
    assert_eq!((part.width(), part.height()), (336, 336));
}

#[test]
fn absurd_sizes_are_errors() {
    let picture = noise(2, 2, 6);
    let outside = Window {
        left: 3,
        top: 0,
        width: 2,
        height: 1,
    };
    for result in [
        resize(&picture, 0, 5, Filter::Box),
        resize(&picture, 5, 0, Filter::Nearest),
        resize(&picture, 1 << 20, 1 << 20, Filter::Bicubic),
        resize_window(&picture, 4, 4, Filter::Bicubic, outside),
    ] {
        assert!(
            matches!(result, Err(PictureError::Size { .. })),
            "{result:?}"
        );
    }
}
