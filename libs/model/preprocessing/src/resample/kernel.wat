;; The two passes of Pillow's separable resampling of 8-bit pixels, bit for bit, in WebAssembly SIMD.
;; scripts/build-kernel.mjs turns this file into kernel-binary.ts.
;;
;; A table holds, per output column or row: i32 first, i32 groups, then 4 * groups i32 weights with 22 fraction
;; bits. Weights past the last tap are zero, so that the taps of a column go in fours.
(module
  (memory (export "memory") 1)

  ;; Per row, output pixel = sum of weight * pixel from `first` on. A vector's lanes are the channels of one
  ;; pixel (3 or 4 bytes). Zero weights read up to 3 pixels past a row, and a pixel of 3 bytes is written as 4; the
  ;; next row overwrites the excess.
  (func (export "horizontal")
    (param $source i32) (param $sourceRowBytes i32) (param $rows i32) (param $pixelBytes i32)
    (param $target i32) (param $targetRowBytes i32) (param $table i32) (param $tableEnd i32)
    (local $entry i32) (local $pixel i32) (local $out i32) (local $groups i32) (local $stride i32)
    (local $mask0 v128) (local $mask1 v128) (local $mask2 v128) (local $mask3 v128) (local $step v128)
    (local $bytes v128) (local $sum v128)
    ;; maskN moves the bytes of pixel N of a 16-byte load to the low byte of each lane and clears the others.
    (local.set $mask0 (v128.const i8x16 0 128 128 128 1 128 128 128 2 128 128 128 3 128 128 128))
    (local.set $step (i8x16.splat (local.get $pixelBytes)))
    (local.set $step (v128.and (local.get $step)
      (v128.const i8x16 -1 0 0 0 -1 0 0 0 -1 0 0 0 -1 0 0 0)))
    (local.set $mask1 (i8x16.add (local.get $mask0) (local.get $step)))
    (local.set $mask2 (i8x16.add (local.get $mask1) (local.get $step)))
    (local.set $mask3 (i8x16.add (local.get $mask2) (local.get $step)))
    (local.set $stride (i32.mul (local.get $pixelBytes) (i32.const 4)))
    (loop $row
      (local.set $entry (local.get $table))
      (local.set $out (local.get $target))
      (loop $column
        (local.set $pixel (i32.add (local.get $source)
          (i32.mul (i32.load (local.get $entry)) (local.get $pixelBytes))))
        (local.set $groups (i32.load offset=4 (local.get $entry)))
        (local.set $entry (i32.add (local.get $entry) (i32.const 8)))
        (local.set $sum (i32x4.splat (i32.const 0x200000)))
        (loop $taps
          (local.set $bytes (v128.load align=1 (local.get $pixel)))
          (local.set $sum (i32x4.add (local.get $sum) (i32x4.mul
            (i8x16.relaxed_swizzle (local.get $bytes) (local.get $mask0))
            (v128.load32_splat (local.get $entry)))))
          (local.set $sum (i32x4.add (local.get $sum) (i32x4.mul
            (i8x16.relaxed_swizzle (local.get $bytes) (local.get $mask1))
            (v128.load32_splat offset=4 (local.get $entry)))))
          (local.set $sum (i32x4.add (local.get $sum) (i32x4.mul
            (i8x16.relaxed_swizzle (local.get $bytes) (local.get $mask2))
            (v128.load32_splat offset=8 (local.get $entry)))))
          (local.set $sum (i32x4.add (local.get $sum) (i32x4.mul
            (i8x16.relaxed_swizzle (local.get $bytes) (local.get $mask3))
            (v128.load32_splat offset=12 (local.get $entry)))))
          (local.set $entry (i32.add (local.get $entry) (i32.const 16)))
          (local.set $pixel (i32.add (local.get $pixel) (local.get $stride)))
          (br_if $taps (local.tee $groups (i32.sub (local.get $groups) (i32.const 1)))))
        ;; Narrowing saturates: Pillow's clip to 0..255.
        (local.set $sum (i32x4.shr_s (local.get $sum) (i32.const 22)))
        (local.set $sum (i16x8.narrow_i32x4_s (local.get $sum) (local.get $sum)))
        (v128.store32_lane 0 (local.get $out) (i8x16.narrow_i16x8_u (local.get $sum) (local.get $sum)))
        (local.set $out (i32.add (local.get $out) (local.get $pixelBytes)))
        (br_if $column (i32.lt_u (local.get $entry) (local.get $tableEnd))))
      (local.set $source (i32.add (local.get $source) (local.get $sourceRowBytes)))
      (local.set $target (i32.add (local.get $target) (local.get $targetRowBytes)))
      (br_if $row (local.tee $rows (i32.sub (local.get $rows) (i32.const 1))))))

  ;; Per output row, `bytes` bytes of the weighted sum of whole source rows, 16 at a time. Up to 15 bytes after them
  ;; are written too, which the next row overwrites. Zero weights read up to 3 rows past the source.
  (func (export "vertical")
    (param $source i32) (param $sourceRowBytes i32) (param $bytes i32)
    (param $target i32) (param $targetRowBytes i32) (param $table i32) (param $tableEnd i32)
    (local $next i32) (local $entry i32) (local $row i32) (local $column i32)
    (local $pixels v128) (local $half v128) (local $weight v128)
    (local $sum0 v128) (local $sum1 v128) (local $sum2 v128) (local $sum3 v128)
    (loop $output
      (local.set $next (i32.add (local.get $table)
        (i32.add (i32.const 8) (i32.mul (i32.load offset=4 (local.get $table)) (i32.const 16)))))
      (local.set $column (i32.const 0))
      (loop $block
        (local.set $entry (i32.add (local.get $table) (i32.const 8)))
        (local.set $row (i32.add (local.get $column) (i32.add (local.get $source)
          (i32.mul (i32.load (local.get $table)) (local.get $sourceRowBytes)))))
        (local.set $sum0 (i32x4.splat (i32.const 0x200000)))
        (local.set $sum1 (local.get $sum0))
        (local.set $sum2 (local.get $sum0))
        (local.set $sum3 (local.get $sum0))
        (loop $tap
          (local.set $pixels (v128.load align=1 (local.get $row)))
          (local.set $weight (v128.load32_splat (local.get $entry)))
          (local.set $half (i16x8.extend_low_i8x16_u (local.get $pixels)))
          (local.set $sum0 (i32x4.add (local.get $sum0) (i32x4.mul (local.get $weight)
            (i32x4.extend_low_i16x8_u (local.get $half)))))
          (local.set $sum1 (i32x4.add (local.get $sum1) (i32x4.mul (local.get $weight)
            (i32x4.extend_high_i16x8_u (local.get $half)))))
          (local.set $half (i16x8.extend_high_i8x16_u (local.get $pixels)))
          (local.set $sum2 (i32x4.add (local.get $sum2) (i32x4.mul (local.get $weight)
            (i32x4.extend_low_i16x8_u (local.get $half)))))
          (local.set $sum3 (i32x4.add (local.get $sum3) (i32x4.mul (local.get $weight)
            (i32x4.extend_high_i16x8_u (local.get $half)))))
          (local.set $row (i32.add (local.get $row) (local.get $sourceRowBytes)))
          (br_if $tap (i32.lt_u (local.tee $entry (i32.add (local.get $entry) (i32.const 4))) (local.get $next))))
        (v128.store align=1 (i32.add (local.get $target) (local.get $column))
          (i8x16.narrow_i16x8_u
            (i16x8.narrow_i32x4_s
              (i32x4.shr_s (local.get $sum0) (i32.const 22)) (i32x4.shr_s (local.get $sum1) (i32.const 22)))
            (i16x8.narrow_i32x4_s
              (i32x4.shr_s (local.get $sum2) (i32.const 22)) (i32x4.shr_s (local.get $sum3) (i32.const 22)))))
        (br_if $block (i32.lt_u (local.tee $column (i32.add (local.get $column) (i32.const 16))) (local.get $bytes))))
      (local.set $target (i32.add (local.get $target) (local.get $targetRowBytes)))
      (local.set $table (local.get $next))
      (br_if $output (i32.lt_u (local.get $table) (local.get $tableEnd))))))
