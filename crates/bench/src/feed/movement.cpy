      * An account movement as a core banking system writes it: thirty fields.
       01  MOVEMENT.
           05  BANK-ID                 PIC 9(5).
           05  BRANCH                  PIC X(4).
           05  ACCOUNT                 PIC 9(11).
           05  IBAN                    PIC X(34).
           05  HOLDER                  PIC X(35).
           05  MOVEMENT-ID             PIC S9(16) BINARY.
           05  MOVEMENT-TYPE           PIC X(4).
               88  CREDIT              VALUE 'CRED' 'INTR'.
               88  DEBIT               VALUE 'DEBT' 'FEES'.
           05  AMOUNT                  PIC S9(13)V99 COMP-3.
           05  CURRENCY-CODE           PIC X(3).
           05  BALANCE-BEFORE          PIC S9(13)V99 COMP-3.
           05  BALANCE-AFTER           PIC S9(13)V99 COMP-3.
           05  RATE                    PIC S9(3)V9(6) COMP-3.
           05  VALUE-DATE              PIC 9(8).
           05  BOOKING-DATE            PIC 9(8).
           05  TIME-STAMP              PIC X(26).
           05  TERMINAL                PIC X(8).
           05  OPERATOR                PIC X(8).
           05  CHANNEL                 PIC 9(2).
           05  RESPONSE-CODE           PIC X(2).
           05  ELAPSED-MS              PIC S9(9) BINARY.
           05  RETRIES                 PIC S9(4) BINARY.
           05  FEE                     PIC S9(5)V99 COMP-3.
           05  TAX                     PIC S9(5)V99 COMP-3.
           05  COUNTER-BANK            PIC X(11).
           05  COUNTER-ACCOUNT         PIC X(34).
           05  COUNTER-NAME            PIC X(35).
           05  PURPOSE                 PIC X(70).
           05  REFERENCE-ID            PIC X(35).
           05  SEQUENCE-NO             PIC S9(9) COMP-3.
           05  CHECK-DIGITS            PIC 9(4).
