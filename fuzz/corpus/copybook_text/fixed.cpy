000100*  change marks, continuation                                     IGNORED1
000200 01  CUSTOMER-RECORD SYNC.                                        IGNORED2
CHG001     05  LONG-
      -        NAME PIC X(10) VALUE 'begins here and
      -        ' ends there'.
      D    05  DEBUGGING PIC X.
           05  BINARY-ONE PIC S9(9) COMP SYNC.
           05  FLOATS COMP-2 OCCURS 2.
           EJECT
           05  FILLER PIC X JUSTIFIED RIGHT.
