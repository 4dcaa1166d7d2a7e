;; A small function by hand: reads the number behind `Temperature: ` wherever it stands in the letter, and
;; says that every other letter is not its own. With `Temperature: ?` it has an error, with `Temperature: !`
;; it never comes to an end.
(module
  (memory (export "memory") 2)
  (global $free (mut i32) (i32.const 4096))
  (data (i32.const 0) "Temperature: ")                                                ;; 13 bytes
  (data (i32.const 64) "{\"reports\":[{\"readings\":[{\"name\":\"temperature\",\"value\":") ;; 55 bytes
  (data (i32.const 160) ",\"unit\":\"Cel\"}]}]}")                                       ;; 18 bytes
  (data (i32.const 224) "{\"error\":\"the sensor does not know\"}")                    ;; 36 bytes

  (func (export "alloc") (param $len i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $free))
    (global.set $free (i32.add (local.get $at) (local.get $len)))
    ;; A page more than is needed: the output is put behind the input.
    (drop (memory.grow (i32.add (i32.shr_u (local.get $len) (i32.const 16)) (i32.const 1))))
    (local.get $at))

  ;; Whether the bytes at $at are those of `Temperature: `.
  (func $is_here (param $at i32) (result i32)
    (local $i i32)
    (loop $next
      (if (i32.ne (i32.load8_u (i32.add (local.get $at) (local.get $i))) (i32.load8_u (local.get $i)))
        (then (return (i32.const 0))))
      (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 13))))
    (i32.const 1))

  (func $packed (param $at i32) (param $len i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32))
            (i64.extend_i32_u (local.get $len))))

  ;; A digit, a dot or a minus.
  (func $is_number (param $c i32) (result i32)
    (i32.or (i32.lt_u (i32.sub (local.get $c) (i32.const 48)) (i32.const 10))
            (i32.lt_u (i32.sub (local.get $c) (i32.const 45)) (i32.const 2))))

  (func (export "decode") (param $at i32) (param $len i32) (result i64)
    (local $end i32) (local $out i32) (local $to i32)
    (local.set $end (i32.add (local.get $at) (local.get $len)))
    (local.set $out (local.get $end))
    (block $none
      (loop $search
        (br_if $none (i32.ge_u (i32.add (local.get $at) (i32.const 13)) (local.get $end)))
        (if (i32.eqz (call $is_here (local.get $at)))
          (then
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (br $search))))
      (local.set $at (i32.add (local.get $at) (i32.const 13)))
      (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 63))
        (then (return (call $packed (i32.const 224) (i32.const 36)))))
      (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 33))
        (then (loop $for_ever (br $for_ever))))
      (memory.copy (local.get $out) (i32.const 64) (i32.const 55))
      (local.set $to (i32.add (local.get $out) (i32.const 55)))
      (loop $digits
        (if (call $is_number (i32.load8_u (local.get $at)))
          (then
            (i32.store8 (local.get $to) (i32.load8_u (local.get $at)))
            (local.set $to (i32.add (local.get $to) (i32.const 1)))
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (br $digits))))
      (memory.copy (local.get $to) (i32.const 160) (i32.const 18))
      (return (call $packed (local.get $out)
        (i32.sub (i32.add (local.get $to) (i32.const 18)) (local.get $out)))))
    (i64.const 0)))
