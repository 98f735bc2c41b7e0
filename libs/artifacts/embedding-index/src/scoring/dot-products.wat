;; Dot products of rows with queries, four rows at a time. Plain SIMD multiplies and adds, no relaxed (fused) ones: a
;; score is then the same bits on every machine. All addresses and strides are in bytes; a stride is a multiple of 16.
(module
  (memory (export "memory") 1)
  ;; scores[query * scoreStride + row] = dot(rows[row], queries[query]), for whole groups of four rows
  (func (export "dotProducts")
    (param $rows i32) (param $rowsEnd i32) (param $stride i32)
    (param $queries i32) (param $queriesEnd i32)
    (param $scores i32) (param $scoreStride i32)
    (local $query i32) (local $score i32) (local $offset i32)
    (local $row1 i32) (local $row2 i32) (local $row3 i32)
    (local $a v128) (local $b v128) (local $c v128) (local $d v128) (local $q v128)
    (loop $groups
      (local.set $row1 (i32.add (local.get $rows) (local.get $stride)))
      (local.set $row2 (i32.add (local.get $row1) (local.get $stride)))
      (local.set $row3 (i32.add (local.get $row2) (local.get $stride)))
      (local.set $query (local.get $queries))
      (local.set $score (local.get $scores))
      (loop $eachQuery
        (local.set $a (v128.const f32x4 0 0 0 0))
        (local.set $b (v128.const f32x4 0 0 0 0))
        (local.set $c (v128.const f32x4 0 0 0 0))
        (local.set $d (v128.const f32x4 0 0 0 0))
        (local.set $offset (i32.const 0))
        (loop $dimensions
          (local.set $q (v128.load (i32.add (local.get $query) (local.get $offset))))
          (local.set $a (f32x4.add (local.get $a)
            (f32x4.mul (local.get $q) (v128.load (i32.add (local.get $rows) (local.get $offset))))))
          (local.set $b (f32x4.add (local.get $b)
            (f32x4.mul (local.get $q) (v128.load (i32.add (local.get $row1) (local.get $offset))))))
          (local.set $c (f32x4.add (local.get $c)
            (f32x4.mul (local.get $q) (v128.load (i32.add (local.get $row2) (local.get $offset))))))
          (local.set $d (f32x4.add (local.get $d)
            (f32x4.mul (local.get $q) (v128.load (i32.add (local.get $row3) (local.get $offset))))))
          (local.set $offset (i32.add (local.get $offset) (i32.const 16)))
          (br_if $dimensions (i32.lt_u (local.get $offset) (local.get $stride))))
        ;; The four lanes of each sum, added up by transposing: ((0+2), (1+3)), then those two.
        (local.set $q (f32x4.add
          (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23 (local.get $a) (local.get $b))
          (i8x16.shuffle 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31 (local.get $a) (local.get $b))))
        (local.set $c (f32x4.add
          (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23 (local.get $c) (local.get $d))
          (i8x16.shuffle 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31 (local.get $c) (local.get $d))))
        (v128.store (local.get $score) (f32x4.add
          (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23 (local.get $q) (local.get $c))
          (i8x16.shuffle 8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31 (local.get $q) (local.get $c))))
        (local.set $score (i32.add (local.get $score) (local.get $scoreStride)))
        (local.set $query (i32.add (local.get $query) (local.get $stride)))
        (br_if $eachQuery (i32.lt_u (local.get $query) (local.get $queriesEnd))))
      (local.set $scores (i32.add (local.get $scores) (i32.const 16)))
      (local.set $rows (i32.add (local.get $row3) (local.get $stride)))
      (br_if $groups (i32.lt_u (local.get $rows) (local.get $rowsEnd))))))
