use super::super::testing::{Recorded, noise};
use super::*;

#[test]
fn equals_opencv_to_the_bit() {
    let recorded = Recorded::read("blur");
    for case in &recorded.cases {
        let (index, size) = (&case["picture"], case["size"].as_u64().unwrap());
        let picture = recorded.picture(&format!("in{index}")).unwrap();
        let expected = recorded.picture(&format!("out{index}_{size}")).unwrap();
        let blurred = gaussian_blur(&picture, size as usize).unwrap();
        assert_eq!(blurred, expected, "{case}");
    }
}

/// Neither the division into blocks and tiles nor the long sums of differences may change a
/// value.
#[test]
fn equals_the_plain_sum_over_the_kernel() {
    let picture = noise(411, 700, 1);
    let (width, height) = (411, 700);
    for size in [3, 101, 501] {
        let blurred = gaussian_blur(&picture, size).unwrap();
        let weights = fixed_point_gaussian(size);
        assert_eq!(
            weights.iter().map(|&weight| u32::from(weight)).sum::<u32>(),
            256
        );
        let radius = (size / 2) as isize;
        for (x, y) in [
            (0, 0),
            (410, 699),
            (200, 350),
            (7, 690),
            (405, 3),
            (170, 171),
            (171, 512),
        ] {
            let mut sum = [0_u32; 3];
            for (row, &down) in weights.iter().enumerate() {
                let line = picture.row(reflect(y + row as isize - radius, height));
                for (column, &right) in weights.iter().enumerate() {
                    let at = reflect(x + column as isize - radius, width) * 3;
                    for (sum, &value) in sum.iter_mut().zip(&line[at..at + 3]) {
                        *sum += u32::from(down) * u32::from(right) * u32::from(value);
                    }
                }
            }
            let expected = sum.map(|sum| ((sum + (1 << 15)) >> 16) as u8);
            let found = &blurred.row(y as usize)[x as usize * 3..][..3];
            assert_eq!(found, expected, "kernel {size}, pixel {x}, {y}");
        }
    }
}

#[test]
fn one_colour_stays_that_colour() {
    let picture = Picture::from_rgb(70, 50, [255, 0, 77].repeat(3500)).unwrap();
    for size in [1, 101, 201, 301, 501] {
        assert_eq!(gaussian_blur(&picture, size).unwrap(), picture);
    }
}

#[test]
fn a_kernel_of_any_size_is_blurred_with_or_refused() {
    let picture = noise(3, 2, 1);
    for size in [MAX_KERNEL + 1, usize::MAX] {
        let refused = gaussian_blur(&picture, size);
        assert!(
            matches!(refused, Err(PictureError::Kernel { found, .. }) if found == size),
            "{size}"
        );
    }
    for size in [0, 2, MAX_KERNEL - 1, MAX_KERNEL] {
        let blurred = gaussian_blur(&picture, size).unwrap();
        assert_eq!((blurred.width(), blurred.height()), (3, 2), "{size}");
    }
}

#[test]
fn the_kernel_grows_with_the_width() {
    let sizes = [1, 499, 500, 799, 800, 1999, 2000].map(blur_kernel_size);
    assert_eq!(sizes, [101, 101, 201, 201, 301, 301, 501]);
}

#[test]
fn baselines_have_the_size_of_the_picture() {
    let picture = noise(31, 17, 1);
    let blurred = Baseline::Blur.of(&picture, 5);
    assert_eq!(blurred, gaussian_blur(&picture, 101).unwrap());
    let zero = Baseline::Zero.of(&picture, 5);
    assert_eq!((zero.width(), zero.height()), (31, 17));
    assert!(zero.rgb().iter().all(|&value| value == 0));
}

#[test]
fn noise_is_uniform_and_depends_on_the_seed_alone() {
    let picture = noise(256, 200, 1);
    let first = Baseline::Noise.of(&picture, 5);
    assert_eq!(
        first,
        Baseline::Noise.of(&Baseline::Zero.of(&picture, 0), 5)
    );
    assert_ne!(first, Baseline::Noise.of(&picture, 6));
    let mut counts = [0_u32; 256];
    for &value in first.rgb() {
        counts[usize::from(value)] += 1;
    }
    // 600 expected of each value; six standard deviations are 147.
    assert!(
        counts.iter().all(|count| count.abs_diff(600) < 147),
        "{counts:?}"
    );
}
