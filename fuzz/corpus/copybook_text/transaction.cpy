      *****************************************************************
      * One card transaction as the CICS regions write it.
      * Fixed length, EBCDIC code page 037, times in UTC.
      *****************************************************************
       01  CARD-TRANSACTION.
           05  TXN-TIMESTAMP               PIC X(26).
           05  TXN-ID                      PIC 9(12).
           05  TXN-TYPE                    PIC X(4).
           05  ORIGIN.
               10  CICS-REGION             PIC X(8).
               10  TERMINAL-ID             PIC X(4).
               10  FILLER                  PIC X(4).
           05  ACCOUNT                     PIC X(16).
           05  AMOUNT                      PIC S9(9)V99 COMP-3.
           05  CURRENCY-CODE               PIC X(3).
           05  BALANCE-AFTER               PIC S9(11)V99.
           05  RESPONSE-CODE               PIC X(2).
           05  ELAPSED-MS                  PIC 9(9) COMP.
           05  STEP-MS                     PIC 9(4) COMP OCCURS 3 TIMES.
           05  FILLER                      PIC X(12).
