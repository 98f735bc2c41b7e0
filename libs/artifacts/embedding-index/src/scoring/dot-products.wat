;; Dot products of rows with queries, four rows by two queries at a time: eight sums are enough to hide the latency of an
;; addition. Plain SIMD multiplies and adds, no relaxed (fused) ones, which measured no faster: so a score is the same bits on every
;; machine. All addresses and strides are in bytes; a stride is a multiple of 16.
(module
  (memory (export "memory") 1)

  ;; The sum of the four lanes of each vector, by transposing: lanes 0 + 2 and 1 + 3, then those two.
  (func $sums (param $a v128) (param $b v128) (param $c v128) (param $d v128) (result v128)
    (local.set $a (f32x4.add
      (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23 (local.get $a) (local.get $b))
      (i8x16.shuffle 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31 (local.get $a) (local.get $b))))
    (local.set $c (f32x4.add
      (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23 (local.get $c) (local.get $d))
      (i8x16.shuffle 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31 (local.get $c) (local.get $d))))
    (f32x4.add
      (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23 (local.get $a) (local.get $c))
      (i8x16.shuffle 8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31 (local.get $a) (local.get $c))))

  ;; scores[query * scoreStride + row] = dot(rows[row], queries[query]), for whole groups of four rows and pairs of queries
  (func (export "dotProducts")
    (param $rows i32) (param $rowsEnd i32) (param $stride i32)
    (param $queries i32) (param $queriesEnd i32)
    (param $scores i32) (param $scoreStride i32)
    (local $row1 i32) (local $row2 i32) (local $row3 i32)
    (local $query0 i32) (local $query1 i32) (local $score i32) (local $offset i32)
    (local $row v128) (local $q0 v128) (local $q1 v128)
    (local $a0 v128) (local $b0 v128) (local $c0 v128) (local $d0 v128)
    (local $a1 v128) (local $b1 v128) (local $c1 v128) (local $d1 v128)
    (loop $groups
      (local.set $row1 (i32.add (local.get $rows) (local.get $stride)))
      (local.set $row2 (i32.add (local.get $row1) (local.get $stride)))
      (local.set $row3 (i32.add (local.get $row2) (local.get $stride)))
      (local.set $query0 (local.get $queries))
      (local.set $score (local.get $scores))
      (loop $pairs
        (local.set $query1 (i32.add (local.get $query0) (local.get $stride)))
        (local.set $a0 (v128.const f32x4 0 0 0 0))
        (local.set $b0 (v128.const f32x4 0 0 0 0))
        (local.set $c0 (v128.const f32x4 0 0 0 0))
        (local.set $d0 (v128.const f32x4 0 0 0 0))
        (local.set $a1 (v128.const f32x4 0 0 0 0))
        (local.set $b1 (v128.const f32x4 0 0 0 0))
        (local.set $c1 (v128.const f32x4 0 0 0 0))
        (local.set $d1 (v128.const f32x4 0 0 0 0))
        (local.set $offset (i32.const 0))
        (loop $dimensions
          (local.set $q0 (v128.load (i32.add (local.get $query0) (local.get $offset))))
          (local.set $q1 (v128.load (i32.add (local.get $query1) (local.get $offset))))
          (local.set $row (v128.load (i32.add (local.get $rows) (local.get $offset))))
          (local.set $a0 (f32x4.add (local.get $a0) (f32x4.mul (local.get $row) (local.get $q0))))
          (local.set $a1 (f32x4.add (local.get $a1) (f32x4.mul (local.get $row) (local.get $q1))))
          (local.set $row (v128.load (i32.add (local.get $row1) (local.get $offset))))
          (local.set $b0 (f32x4.add (local.get $b0) (f32x4.mul (local.get $row) (local.get $q0))))
          (local.set $b1 (f32x4.add (local.get $b1) (f32x4.mul (local.get $row) (local.get $q1))))
          (local.set $row (v128.load (i32.add (local.get $row2) (local.get $offset))))
          (local.set $c0 (f32x4.add (local.get $c0) (f32x4.mul (local.get $row) (local.get $q0))))
          (local.set $c1 (f32x4.add (local.get $c1) (f32x4.mul (local.get $row) (local.get $q1))))
          (local.set $row (v128.load (i32.add (local.get $row3) (local.get $offset))))
          (local.set $d0 (f32x4.add (local.get $d0) (f32x4.mul (local.get $row) (local.get $q0))))
          (local.set $d1 (f32x4.add (local.get $d1) (f32x4.mul (local.get $row) (local.get $q1))))
          (local.set $offset (i32.add (local.get $offset) (i32.const 16)))
          (br_if $dimensions (i32.lt_u (local.get $offset) (local.get $stride))))
        (v128.store (local.get $score)
          (call $sums (local.get $a0) (local.get $b0) (local.get $c0) (local.get $d0)))
        (local.set $score (i32.add (local.get $score) (local.get $scoreStride)))
        (v128.store (local.get $score)
          (call $sums (local.get $a1) (local.get $b1) (local.get $c1) (local.get $d1)))
        (local.set $score (i32.add (local.get $score) (local.get $scoreStride)))
        (local.set $query0 (i32.add (local.get $query1) (local.get $stride)))
        (br_if $pairs (i32.lt_u (local.get $query0) (local.get $queriesEnd))))
      (local.set $scores (i32.add (local.get $scores) (i32.const 16)))
      (local.set $rows (i32.add (local.get $row3) (local.get $stride)))
      (br_if $groups (i32.lt_u (local.get $rows) (local.get $rowsEnd))))))
