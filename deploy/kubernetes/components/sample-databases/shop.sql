-- The same in source and sink, so that a changefeed can start at `now`.
SET SESSION sql_log_bin = 0;
CREATE DATABASE shop;
CREATE TABLE shop.customers (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(100) NOT NULL);
CREATE TABLE shop.orders (
  id INT AUTO_INCREMENT PRIMARY KEY,
  customer INT NOT NULL,
  amount DECIMAL(10, 2) NOT NULL,
  placed DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  FOREIGN KEY (customer) REFERENCES shop.customers (id)
);
INSERT INTO shop.customers (name) VALUES ('Ada'), ('Edsger'), ('Grace');
